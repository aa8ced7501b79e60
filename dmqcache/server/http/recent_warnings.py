"""The last warnings and errors that the node logged, for its page: a few lines in memory.

Where log lines go otherwise is ``config/logs.py``'s business; this listens beside it. Nodes that live in one
process share a log, so each shows the warnings of all.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

#: Lines kept, and characters of one.
KEPT: Final = 50
LONGEST: Final = 400


class Line(NamedTuple):
    """One line of the log."""

    #: Unix time.
    wall: float
    level: str
    text: str


class RecentWarnings(logging.Handler):
    """Keeps the last lines from the level ``warning`` on."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._lines: deque[Line] = deque(maxlen=KEPT)

    def start(self) -> None:
        """Listen to all that this package logs."""
        logging.getLogger("dmqcache").addHandler(self)

    def stop(self) -> None:
        """Listen no more."""
        logging.getLogger("dmqcache").removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Take one record. Never raises."""
        try:
            text = record.getMessage()
            if record.exc_info and record.exc_info[1] is not None:
                text += f": {record.exc_info[1]!r}"
        except Exception:
            self.handleError(record)
            return
        if len(text) > LONGEST:
            text = text[:LONGEST] + "..."
        self._lines.append(Line(record.created, record.levelname.lower(), text))

    def lines(self) -> Sequence[Line]:
        """The newest first."""
        return tuple(reversed(self._lines))
