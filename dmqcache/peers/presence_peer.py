"""The ``presence`` channel's peer: what is published on all Kamailio nodes, as ``--peer presence`` has it.

A mirror and a donor, as Kamailio nodes are none to each other: one that asks for all publications gets
nothing from another, and everything from here. Subscriptions are not on the wire: each Kamailio keeps its
own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dmqcache.bus.node import Node
from dmqcache.bus.peer import Peer
from dmqcache.peers.mirror import Mirror
from dmqcache.peers.presence_wire import SYNC_BODY, PresenceAction, read_presence
from dmqcache.peers.presentity import Presentity, key_of, published


class PresencePeer(Mirror[str, Presentity]):
    """The publications. ``presentities()`` is what is known of now."""

    __slots__ = ()

    sync_body = SYNC_BODY

    def __init__(self) -> None:
        super().__init__("presence")

    def presentities(self, text: str = "") -> list[Presentity]:
        """The publications that have not expired, in the order in which they were heard of; with ``text``,
        those with it in their presentity's URI."""
        return list(self.each_presentity(text))

    def each_presentity(self, text: str = "") -> Iterator[Presentity]:
        """The same, one by one; those that go meanwhile are left out."""
        for key in self.records.listed():
            found = self.records.get(key)
            if found is not None and text in found.uri:
                yield found

    def by_event(self) -> dict[str, int]:
        """How many publications each event package has."""
        return {event: count for event, count in self.records.counted.items() if count}

    # -- a mirror's --------------------------------------------------------------------------------------

    def hear(self, body: bytes, now: float) -> bool:
        word = read_presence(body)
        self.counts.words[word.action.name.lower()] += 1
        if word.action is not PresenceAction.PRESENTITY:
            return word.action is PresenceAction.SYNC_PRESENTITIES
        key = key_of(word)
        before = self.records.get(key)
        removed = self.records.removed(key)
        received = word.presentity["recv"]
        assert isinstance(received, int)
        after = published(before, word)
        if after is None:
            self.records.remove(key, received, now)
        elif after.over_at <= now or (isinstance(removed, int) and received <= removed):
            self.counts.refused["late"] += 1
        elif after is not before:
            self.records.put(key, after, now, after.over_at)
        return False

    def body_of(self, key: str, node: Node, now: float) -> bytes | None:
        found = self.records.get(key)
        return None if found is None or found.over_at <= now else found.body(now)

    def word_of(self, record: Presentity, stale: bool) -> str:
        return record.event


def presence_among(peers: Mapping[str, Peer]) -> PresencePeer | None:
    """The one among a node's peers, if it has it."""
    peer = peers.get("presence")
    return peer if isinstance(peer, PresencePeer) else None
