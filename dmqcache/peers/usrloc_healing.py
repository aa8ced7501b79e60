"""Registrars that were cut off agree again: what one lacks it is told, what was removed is removed there too.

A node that comes up is asked for all its contacts (by the peer), and shows them. It is looked at twice. So is
one that is asked once more: ``usrloc_occasions.py`` says when. So is one that has asked for everything, when
it was told that: of two dmqcache nodes the one that knew less may have told it last.

When it has fallen silent for a moment:

- what it shows though a registrar has removed it, it is told once more that it was removed;
- what it had of its own that was not known here, all others are told;
- if it lacks some of its own, it is asked once more.

When it has been silent for so long that a message which was lost four times would have come:

- what it lacks of its own, though it was not restarted, it has removed while nobody heard it: if both looks
  have shown that, it is followed, and told to the others. Who was restarted says ``usrloc_restarts.py``;
- what else it lacks, or has of before a refresh, it is told. If others that were lost are being looked at
  too, or dmqcache nodes, that waits for them: they may have removed some of it, or heard that.

Owns the order of looks; what is seen at one is ``usrloc_look.py``'s. Which contacts there are, and their
messages, are ``usrloc_peer.py``'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final, Protocol

from dmqcache.bus.node import Node
from dmqcache.bus.runtime import Runtime
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.peers.contact import Contact
from dmqcache.peers.json_fields import Fields
from dmqcache.peers.usrloc_look import TRIES, Look
from dmqcache.peers.usrloc_occasions import Occasions, leaves_out
from dmqcache.peers.usrloc_restarts import Restarts

#: Seconds between two glances at whether it is silent.
GLANCE_S: Final = 0.25
#: Seconds for which what a node lacks waits for looks at others at most.
AWAIT_S: Final = 3.0
#: Contacts that are compared in one step, about a millisecond.
STEP: Final = 1000


class HealedPeer(Protocol):
    """What the looks need of the peer."""

    @property
    def runtime(self) -> Runtime | None: ...

    def known(self) -> list[str]:
        """The keys of all contacts."""

    def contact(self, key: str) -> Contact | None:
        """One that has not expired."""

    def has_any_of(self, node: NodeURI) -> bool:
        """Whether any contact is this node's own."""

    def ask(self, node: Node) -> None:
        """Ask for all contacts."""

    def tell(self, node: Node, keys: list[str]) -> None:
        """Tell a node these contacts."""

    def tell_others(self, node: Node, keys: list[str]) -> None:
        """Tell all nodes but this one these contacts."""

    def tell_removed(self, node: Node, removed: list[Fields]) -> None:
        """Tell a node that a registrar has removed these."""

    def follow(self, key: str, node: Node) -> None:
        """A registrar has removed a contact without being heard: it goes, and all other nodes are told."""


class UsrlocHealing:
    """The looks of one peer."""

    def __init__(self, peer: HealedPeer) -> None:
        self._peer = peer
        self._looks: dict[NodeURI, Look] = {}
        #: Who was there and was lost.
        self._lost: set[NodeURI] = set()
        self._restarts = Restarts()
        self._occasions = Occasions(self.again, self.heard)

    def up(self, node: Node) -> None:
        """A node was asked for everything."""
        runtime = self._peer.runtime
        if runtime is not None:
            lost = node.uri in self._lost
            if self._restarts.noticed(node) or not lost:
                self._may_be_restarted(node)
            self._begin(node, missed=lost, spreads=lost or self._occasions.is_grown(runtime))
            self._occasions.up(node, runtime)

    def _may_be_restarted(self, node: Node) -> None:
        """What is known here as its own, it may not have any more. Of whom nothing is known yet, all will be
        of this life."""
        if self._peer.has_any_of(node.uri):
            self._restarts.may_be(node.uri, self._now())

    def again(self, node: Node, missed: bool) -> None:
        """Ask a node once more that was there all the time. ``missed``: what was written there may not have
        come here."""
        look = self._looks.get(node.uri)
        if look is not None:
            look.missed |= missed
            look.spreads = True
        else:
            self._begin(node, missed=missed, spreads=True)
            self._peer.ask(node)

    def _begin(self, node: Node, *, missed: bool, spreads: bool) -> None:
        now = self._now()
        look = self._looks[node.uri] = Look(node, now, now, asked=now, missed=missed, spreads=spreads)
        self._later(GLANCE_S, look, self._glance)

    def down(self, node: Node) -> None:
        """A node is lost, or has left."""
        self._looks.pop(node.uri, None)
        self._occasions.down(node)
        self._lost.add(node.uri)
        self._restarts.down(node.uri)

    def answered(self, node: Node, status: int) -> None:
        """A node has answered the question. Of one that refuses it nothing is known."""
        look = self._looks.get(node.uri)
        if look is not None and status == 200:
            look.answered_at = self._now()
        elif look is not None:
            self._end(look)

    def unanswered(self, node: Node) -> None:
        """A question, or its answer, was lost for good. One that is told registrations all the time is never
        silent for so long that it would be asked again for that."""
        look = self._looks.get(node.uri)
        if look is not None and look.answered_at is None:
            self._ask_or_give_up(look)

    def left(self, node: Node) -> None:
        """A node is forgotten."""
        self.down(node)
        self._lost.discard(node.uri)
        self._restarts.left(node.uri)

    def looks_at(self, node: NodeURI) -> bool:
        """Whether a node is showing what it holds: that may be older than what is known."""
        return node in self._looks

    def asks(self, node: Node) -> None:
        """A node asks for everything, as a Kamailio does when it starts."""
        self._restarts.asks(node.uri)
        if self._peer.runtime is not None:
            self._may_be_restarted(node)
        if (look := self._looks.get(node.uri)) is not None:
            # It may have shown that before it was restarted.
            look.shown.clear()

    def heard(self, node: Node) -> None:
        """A node has said something: this comes before what it says on this channel."""
        if self._peer.runtime is None or not self._restarts.noticed(node):
            return
        self._may_be_restarted(node)
        look = self._looks.get(node.uri)
        if look is not None:
            self._say_what_it_has(look)
        if look is not None or node.active:
            # What it has shown it may have lost since.
            self._begin(node, missed=look is not None and look.missed, spreads=True)
            self._peer.ask(node)

    def shows(
        self, node: NodeURI, key: str, fields: Fields, removed: int | None, *, owner: str, news: bool
    ) -> None:
        """A node tells a contact with these fields. ``removed``: a registrar has removed it, as of this
        refresh (``last_modified``). ``owner``: whose it was until then, "": nobody's, it was not known;
        ``news``: it was not known like this."""
        self._restarts.says(node, key)
        look = self._looks.get(node)
        if look is None or self._peer.runtime is None:
            return
        look.heard = self._peer.runtime.now()
        if key not in look.seen:
            self._passes(key, owner, node)
        own = owner == str(node) or self._restarts.was_its_own(node, key)
        look.shows(key, fields, removed, own=own, news=news)

    def _passes(self, key: str, owner: str, node: NodeURI) -> None:
        """Who shows a contact that was another's may have heard of its refresh there: shown by its owner, it
        still proves that this one was not restarted."""
        contact = self._peer.contact(key)
        if owner and owner != str(node) and contact is not None and contact.node == str(node):
            uri = next((one for one in (*self._lost, *self._looks) if str(one) == owner), None)
            if uri is not None:
                self._restarts.passes(uri, key)

    # -- one look ----------------------------------------------------------------------------------------

    def _glance(self, look: Look) -> None:
        if look.answered_at is None:
            self._ask_again(look)
            return
        if not look.is_complete(self._now()):
            self._later(GLANCE_S, look, self._glance)
            return
        self._say_what_it_has(look)
        look.compared_at = self._now()
        after = self._first if look.lacked is None else self._second
        self._in_steps(look, self._lacking_of_its_own(look), lambda keys: after(look, keys))

    def _ask_again(self, look: Look) -> None:
        """It has not answered: neither with a word, nor with a 200 after all of them."""
        if look.needs_question(self._now()):
            self._ask_or_give_up(look)
        self._later(GLANCE_S, look, self._glance)

    def _ask_or_give_up(self, look: Look) -> None:
        if look.tries >= TRIES:
            self._end(look)
        else:
            look.tries += 1
            self._ask(look)

    def _ask(self, look: Look) -> None:
        look.is_asked(self._now())
        self._peer.ask(look.node)

    def _say_what_it_has(self, look: Look) -> None:
        """What it has too much, to itself; what it alone had, to the others."""
        # What was registered anew since it was shown must not go.
        removed = [fields for key, fields in look.removed.items() if self._peer.contact(key) is None]
        look.removed.clear()
        if removed:
            self._peer.tell_removed(look.node, removed)
        if look.news:
            self._peer.tell_others(look.node, look.news)
            look.news = []

    def _lacking_of_its_own(self, look: Look) -> Iterator[str]:
        if look.node.ours:
            return
        for key in self._peer.known():
            yield key if self._is_lacking(look, key) else ""

    def _is_lacking(self, look: Look, key: str) -> bool:
        contact = self._peer.contact(key)
        return contact is not None and contact.node == str(look.node.uri) and key not in look.shown

    def _may_have_removed(self, look: Look, lacking: list[str]) -> bool:
        """Whether it may have removed unheard what it lacks of its own."""
        node, kept = look.node, look.kept()
        return look.missed and self._restarts.may_have_removed(node, len(lacking), kept, look.asked)

    def _first(self, look: Look, lacking: list[str]) -> None:
        """Of what it lacks, nothing is sure yet."""
        doubtful = self._restarts.doubtful(look.node.uri)
        look.lacked = set(lacking) - doubtful if self._may_have_removed(look, lacking) else set()
        if look.lacked:
            look.is_second()
            self._ask(look)
        self._later(GLANCE_S, look, self._glance)

    def _second(self, look: Look, lacking: list[str]) -> None:
        """What lacks twice was removed there. What else lacks it may have forgotten."""
        sure = look.lacked if look.lacked and self._may_have_removed(look, lacking) else set()
        for key in lacking:
            # It, or another registrar, may have told the contact since the key was found.
            if key in sure and self._is_lacking(look, key):
                self._peer.follow(key, look.node)
        self._restarts.settled(look.node.uri, set(lacking) - sure, look.compared_at)
        look.settled_at = self._now()
        self._await_others(look)

    def _await_others(self, look: Look) -> None:
        assert look.settled_at is not None
        others = [other for other in self._looks.values() if other.missed or other.node.ours]
        waits = any(other.settled_at is None for other in others)
        if waits and self._now() - look.settled_at < AWAIT_S:
            self._later(GLANCE_S, look, self._await_others)
            return
        self._say_what_it_has(look)
        self._lost.discard(look.node.uri)
        anew = self._restarts.is_anew(look.node.uri)
        if anew or leaves_out(look.node, look.began):
            # It has been told everything, as it asked; or what is written there does not come here: it may
            # know better, and what comes last counts there. It is asked once more when that is over.
            self._end(look)
            if anew:
                self._restarts.told(look.node.uri)
                self.again(look.node, missed=False)
            return
        self._in_steps(look, self._older_there(look), lambda keys: self._told(look, keys))

    def _older_there(self, look: Look) -> Iterator[str]:
        for key in self._peer.known():
            contact = self._peer.contact(key)
            older = contact is not None and look.shown.get(key, -1) < contact.last_modified
            yield key if older else ""

    def _told(self, look: Look, keys: list[str]) -> None:
        if keys:
            self._peer.tell(look.node, keys)
        self._end(look)

    def _end(self, look: Look) -> None:
        del self._looks[look.node.uri]
        self._restarts.looked(look.node.uri)

    # -- time --------------------------------------------------------------------------------------------

    def _now(self) -> float:
        assert self._peer.runtime is not None
        return self._peer.runtime.now()

    def _later(self, seconds: float, look: Look, then: Callable[[Look], None]) -> None:
        def go_on() -> None:
            if self._looks.get(look.node.uri) is look:
                then(look)

        assert self._peer.runtime is not None
        self._peer.runtime.call_later(seconds, go_on)

    def _in_steps(self, look: Look, keys: Iterator[str], then: Callable[[list[str]], None]) -> None:
        """Collect the keys that are none of "", a bounded number in one step."""
        found: list[str] = []

        def step(_look: Look) -> None:
            some = list(islice(keys, STEP))
            found.extend(filter(None, some))
            if some:
                self._later(0.0, look, step)
            else:
                then(found)

        step(look)
