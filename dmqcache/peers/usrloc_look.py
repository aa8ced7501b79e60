"""One look at a registrar: what it shows, and whether that is all.

Pure: time is handed in, monotonic seconds. Owns what was shown and heard. What follows from it is
``usrloc_healing.py``'s.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from dmqcache.bus.node import Node
from dmqcache.peers.json_fields import Fields, integer_in

#: Seconds of silence after which a node has shown all that was not lost: a message that was comes again after
#: T1 (0.5 s), and 1.5 s.
QUIET_S: Final = 1.0
#: The same before what a node lacks counts as removed there, or as not known: after 3.5 s too.
SURELY_QUIET_S: Final = 4.0
#: Seconds more for a Kamailio that does not fall silent, as phones register there all the time. It has sent
#: everything once before it answers the question.
BUSY_S: Final = 3.0
#: Seconds of silence after which one that has not answered is asked again: the question was lost. Each time
#: twice as long.
ASK_AGAIN_S: Final = 2.0
#: How often it is asked at most.
TRIES: Final = 5


@dataclass(slots=True)
class Look:
    """What one node shows."""

    node: Node
    began: float
    heard: float
    #: How often it was asked, and when the last time.
    tries: int = 1
    asked: float = 0.0
    #: What was written there may not have come here: what it lacks of its own it may have removed.
    missed: bool = False
    #: The others may not have heard what is new of it.
    spreads: bool = False
    #: What it has shown at any time, and what of that was its own here before.
    seen: set[str] = field(default_factory=set)
    known: set[str] = field(default_factory=set)
    #: When it has answered the question: what it shows is all that it has. None: not yet.
    answered_at: float | None = None
    #: Key -> when that contact was refreshed last, as the node knows it. At the second look only what it
    #: shows then: it may have been restarted since the first.
    shown: dict[str, int] = field(default_factory=dict)
    #: What it shows that was removed.
    removed: dict[str, Fields] = field(default_factory=dict)
    #: What it shows that was not known here, or not of that refresh.
    news: list[str] = field(default_factory=list)
    #: What it lacked of its own at the first look; None: that is not over yet.
    lacked: set[str] | None = None
    #: When what it lacked was last compared.
    compared_at: float = 0.0
    #: When the second look was over.
    settled_at: float | None = None

    def shows(self, key: str, fields: Fields, removed: int | None, *, own: bool, news: bool) -> None:
        """It tells a contact with these fields. ``removed``: a registrar has removed it, as of this refresh.
        ``own``: it was this node's before; ``news``: it was not known like this."""
        # What it shows again it may have told for the first time in this look, as it was registered anew.
        if own and key not in self.seen:
            self.known.add(key)
        self.seen.add(key)
        self.shown[key] = integer_in(fields, "last_modified")
        if removed is not None:
            self.removed[key] = {**fields, "last_modified": removed}
        elif news and self.spreads:
            self.news.append(key)

    def kept(self) -> int:
        """How many it shows that were its own before."""
        return len(self.known & self.shown.keys())

    def is_asked(self, now: float) -> None:
        """It is asked once more."""
        self.asked = self.heard = now

    def is_second(self) -> None:
        """What it shows counts anew."""
        self.answered_at, self.tries = None, 1
        self.shown.clear()

    def needs_question(self, now: float) -> bool:
        """Whether it has not answered for so long that the question was lost."""
        return now - max(self.heard, self.asked) >= ASK_AGAIN_S * (1 << (self.tries - 1))

    def is_complete(self, now: float) -> bool:
        """Whether it has shown all that it has, as far as this look must know."""
        if self.answered_at is None:
            return False
        seconds = QUIET_S if self.lacked is None else SURELY_QUIET_S
        if now - self.heard >= seconds:
            return True
        return now - self.answered_at >= seconds + BUSY_S and not self.node.ours
