"""What the uses of the libraries keep, and how they see that something came from a cache."""

from typing import Any

VALUES: dict[str, Any] = {
    "text": "\u00fc",
    "number": 7,
    "bytes": b"\0\xff\r\n",
    "nested": {"a": [1, None, 2.5]},
}


class Calls:
    """Counts how often what is cached was computed."""

    def __init__(self) -> None:
        self.count = 0

    def next(self) -> int:
        self.count += 1
        return self.count
