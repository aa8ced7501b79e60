"""How other nodes stand to the key: what is shown of each, said once of each, and who was told why.

Owns the words and their pace. Strangers can make a node notice them, so all is bounded: the hosts remembered,
the lines logged, the refusals sent. What follows for a message is ``guard.py``'s.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from dmqcache.bus.bounded import Bounded
from dmqcache.bus.sip.uri import Endpoint

log = logging.getLogger(__name__)

#: Endpoints remembered; the one heard of longest ago is forgotten first.
MAX_REMEMBERED: Final = 256
#: Seconds for which somebody who was turned away is shown.
SHOWN: Final = 300.0
#: How many of them are.
MAX_SHOWN: Final = 16
#: Lines at once, and seconds until one more may be written.
LOG_BURST: Final = 10.0
LOG_PAUSE: Final = 10.0
#: Refusals at once, and seconds until one more may be sent: no flood gets an answer worth the name.
REFUSAL_BURST: Final = 5.0
REFUSAL_PAUSE: Final = 10.0


class Standing(StrEnum):
    """What ``dmqcache nodes`` shows."""

    #: It signs with a key that counts here.
    SIGNS = "yes"
    NO_KEY = "no"
    OTHER_KEY = "other"
    #: It names a key that counts here, and its signature does not fit its message.
    BAD_SIGNATURE = "bad"
    #: It has a key, and this node has none.
    WANTS_KEY = "wanted"


#: Who is turned away where a key is required, and who is not where it is not yet.
_TURNED_AWAY: Final[Mapping[Standing, str]] = {
    Standing.NO_KEY: "%s comes without the bus key and is turned away: a dmqcache node needs bus_key_file, a "
    "Kamailio stands under kamailio",
    Standing.OTHER_KEY: "%s signs with another key, %s, and is turned away: the key here is %s",
    Standing.BAD_SIGNATURE: "%s sends what its signature does not fit, and is turned away: is it changed on "
    "its way?",
    Standing.WANTS_KEY: "%s has a bus key, %s, and takes nothing from this node: give it the key too, "
    "by bus_key_file",
}
_STILL_TAKEN: Final[Mapping[Standing, str]] = {
    Standing.NO_KEY: "%s still comes without the bus key; once one is required it is turned away, unless it "
    "is a Kamailio and stands under kamailio",
    Standing.OTHER_KEY: "%s signs with another key, %s; once one is required it is turned away: the key here "
    "is %s",
    Standing.BAD_SIGNATURE: "%s sends what its signature does not fit; once one is required it is "
    "turned away",
}


class Noted(NamedTuple):
    """What is known of one endpoint."""

    standing: Standing
    #: Whether its messages are dropped.
    turned_away: bool
    #: Monotonic seconds.
    seen: float


class Pace:
    """So many at once, and then one in so many seconds."""

    def __init__(self, now: Callable[[], float], burst: float, pause: float) -> None:
        self._now = now
        self._burst = self._left = burst
        self._pause = pause
        self._filled = now()

    def take(self) -> bool:
        """Whether there is one left."""
        now = self._now()
        self._left = min(self._burst, self._left + (now - self._filled) / self._pause)
        self._filled = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


class Standings:
    """The book of one node."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._noted: Bounded[Endpoint, Noted] = Bounded(MAX_REMEMBERED)
        self._lines = Pace(now, LOG_BURST, LOG_PAUSE)
        self._refusals = Pace(now, REFUSAL_BURST, REFUSAL_PAUSE)

    def note(
        self,
        endpoint: Endpoint,
        standing: Standing,
        turned_away: bool = False,
        key: str = "",
        ours: str = "",
    ) -> None:
        """Something came from ``endpoint``. ``key``: the name of the key that it names; ``ours``: of those
        that count here. What changes is said."""
        before = self._noted.get(endpoint)
        noted = self._noted[endpoint] = Noted(standing, turned_away, self._now())
        if (before is None or before[:2] != noted[:2]) and not (
            before is None and standing is Standing.SIGNS
        ):
            self._say(_words(endpoint), noted, key, ours)

    def signs(self, endpoint: Endpoint) -> None:
        """Something well signed came from ``endpoint``, as nearly all does: it costs a look where that is
        known."""
        noted = self._noted.get(endpoint)
        if noted is None or noted.standing is not Standing.SIGNS:
            self.note(endpoint, Standing.SIGNS)

    def of(self, endpoint: Endpoint | None) -> Standing | None:
        """How who listens at an endpoint stands; None: nothing is known yet."""
        noted = self._noted.get(endpoint) if endpoint is not None else None
        return noted.standing if noted is not None else None

    def turned_away(self) -> list[tuple[Endpoint, Noted]]:
        """Who was turned away lately, newest first."""
        since = self._now() - SHOWN
        found = [
            (at, noted) for at, noted in self._noted.items() if noted.turned_away and noted.seen >= since
        ]
        return found[: -MAX_SHOWN - 1 : -1]

    def may_refuse(self) -> bool:
        """Whether who was dropped just now is told why. Each yes is used up."""
        return self._refusals.take()

    def _say(self, who: str, noted: Noted, key: str, ours: str) -> None:
        if not self._lines.take():
            return
        if noted.standing is Standing.SIGNS:
            log.info("%s signs with the bus key now", who)
            return
        words = (_TURNED_AWAY if noted.turned_away else _STILL_TAKEN)[noted.standing]
        log.warning(words, *(who, key, ours)[: words.count("%s")])


def _words(endpoint: Endpoint) -> str:
    """An address as the log has it; of a connection that was opened to us the port says nothing."""
    return f"{endpoint.host} port {endpoint.port}" if endpoint.port else endpoint.host
