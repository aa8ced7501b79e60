"""Log lines that strangers can cause: at most one a minute for each of their hosts.

Owns the memory of who was complained of. Time comes in as an argument.
"""

from __future__ import annotations

#: Seconds between two lines about one host.
GAP = 60.0
#: Hosts remembered; the one that was complained of longest ago is forgotten first.
MAX_HOSTS = 1024


class Seldom:
    """One kind of complaint."""

    def __init__(self) -> None:
        self._said: dict[str, float] = {}

    def may(self, host: str, now: float) -> bool:
        """Whether to complain of ``host`` now; then it counts as done."""
        if now - self._said.get(host, float("-inf")) < GAP:
            return False
        self._said.pop(host, None)
        self._said[host] = now
        if len(self._said) > MAX_HOSTS:
            del self._said[next(iter(self._said))]
        return True
