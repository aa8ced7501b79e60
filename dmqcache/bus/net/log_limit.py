"""Log lines that strangers can cause: at most one a minute for each of their hosts.

Owns the memory of who was complained of, and of what. Time comes in as an argument.
"""

from __future__ import annotations

from dmqcache.bus.bounded import Bounded

#: Seconds between two lines about one host.
GAP = 60.0
#: Hosts remembered; the one that was complained of longest ago is forgotten first.
MAX_HOSTS = 1024


class News:
    """Complaints of what lasts: the same one once until it is over, another one about the same host at most
    once a minute."""

    def __init__(self) -> None:
        self._texts: Bounded[str, str] = Bounded(MAX_HOSTS)
        self._limit = LogLimit()

    def is_news(self, host: str, text: str, now: float) -> bool:
        """Whether to say ``text`` of ``host`` now; then it counts as said."""
        if self._texts.get(host) == text or not self._limit.may(host, now):
            return False
        self._texts[host] = text
        return True

    def over(self, host: str) -> None:
        """It is well with ``host``: what comes next is news."""
        self._texts.pop(host, None)


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
