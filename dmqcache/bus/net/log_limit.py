"""Log lines that strangers can cause: at most one a minute for each of their hosts.

Owns the memory of who was complained of. Time comes in as an argument.
"""

from __future__ import annotations

from dmqcache.bus.bounded import Bounded

#: Seconds between two lines about one host.
GAP = 60.0
#: Hosts remembered; the one that was complained of longest ago is forgotten first.
MAX_HOSTS = 1024


class LogLimit:
    """One kind of complaint."""

    def __init__(self) -> None:
        self._said: Bounded[str, float] = Bounded(MAX_HOSTS)

    def may(self, host: str, now: float) -> bool:
        """Whether to complain of ``host`` now; then it counts as done."""
        if now - self._said.get(host, float("-inf")) < GAP:
            return False
        self._said[host] = now
        return True
