"""The ``presence`` channel's peer: what is published and watched on the Kamailio nodes (``--peer presence``).

A mirror and a donor: 5.6 and 6.0 give a restarted Kamailio nothing of what was published, dmqcache nodes do.
Subscriptions are told by 6.1 alone, where ``enable_subs_dmq`` is set, and given only to nodes that speak of
them: to others the word is an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from dmqcache.bus.node import Node
from dmqcache.bus.peer import Message, Reply
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.peers.mirror import CONTENT_TYPE, FIRST_THAT, Mirror
from dmqcache.peers.presence_wire import (
    SYNC_BODY,
    SYNC_SUBSCRIPTIONS_BODY,
    PresenceAction,
    PresenceWord,
    read_presence,
    write_subscription,
)
from dmqcache.peers.presentity import Presentity, PublicationKey, keys_of, published
from dmqcache.peers.subscription import Subscription, SubscriptionKey

Key: TypeAlias = PublicationKey | SubscriptionKey
Record: TypeAlias = Presentity | Subscription

#: What a record's word for the counts begins with.
_PUBLISHED, _WATCHED = "published ", "watched "


class PresencePeer(Mirror[Key, Record]):
    """The publications and subscriptions: ``presentities()`` and ``subscriptions()``."""

    __slots__ = ("_speak_of_subscriptions", "_speaker")

    sync_body = SYNC_BODY

    def __init__(self) -> None:
        super().__init__("presence")
        self._speaker: Node | None = None
        self._speak_of_subscriptions: set[NodeURI] = set()

    def presentities(self, text: str = "") -> list[Presentity]:
        """The publications that have not expired, in the order in which they were heard of; with ``text``,
        those with it in their presentity's URI."""
        return list(self.each_presentity(text))

    def each_presentity(self, text: str = "") -> Iterator[Presentity]:
        """The same, one by one; those that go meanwhile are left out."""
        for record in self.each_record():
            if isinstance(record, Presentity) and record.has(text):
                yield record

    def subscriptions(self, text: str = "") -> list[Subscription]:
        """The subscriptions that have not expired; with ``text``, those with it in the URI of who watches, or
        who is watched."""
        return list(self.each_subscription(text))

    def each_subscription(self, text: str = "") -> Iterator[Subscription]:
        """The same, one by one; those that go meanwhile are left out."""
        for record in self.each_record():
            if isinstance(record, Subscription) and record.has(text):
                yield record

    def by_event(self) -> dict[str, int]:
        """How many publications each event package has."""
        return self._counted(_PUBLISHED)

    def subscriptions_by_event(self) -> dict[str, int]:
        """How many subscriptions each event package has."""
        return self._counted(_WATCHED)

    def _counted(self, what: str) -> dict[str, int]:
        counted = self.records.counted.items()
        return {word.removeprefix(what): count for word, count in counted if count and word.startswith(what)}

    def each_record(self) -> Iterator[Record]:
        """Publications and subscriptions as they were heard of; those that have expired, or go meanwhile, are
        left out."""
        for key in self.records.listed():
            record = self.records.get(key)
            if record is not None and record.over_at > self.now:
                yield record

    # -- a mirror's --------------------------------------------------------------------------------------

    def handle(self, message: Message) -> Reply:
        self._speaker = message.node
        return super().handle(message)

    def hear(self, body: bytes, now: float) -> bool:
        word = read_presence(body)
        self.counts.words[word.action.name.lower()] += 1
        if word.action in (PresenceAction.SUBSCRIPTION, PresenceAction.SYNC_SUBSCRIPTIONS) and self._speaker:
            self._speak_of_subscriptions.add(self._speaker.uri)
        if word.action is PresenceAction.PRESENTITY:
            self._publish(word, now)
        elif word.action is PresenceAction.SUBSCRIPTION:
            self._subscribe(Subscription(word.subscription), now)
        else:
            return True
        return False

    def _publish(self, word: PresenceWord, now: float) -> None:
        named, newest = keys_of(word)
        received = word.presentity["recv"]
        assert isinstance(received, int)
        before = self.records.get(named)
        if before is None:
            before = self.records.get(newest)
        after = published(before if isinstance(before, Presentity) else None, word)
        if after is before and after is not None:
            return
        if after is None or named != newest:
            self.records.remove(
                named, received, now
            )  # Its tag is another now: a late word names the old one.
        removed = self.records.removed(newest)
        if (
            after is not None
            and after.over_at > now
            and not (isinstance(removed, int) and received <= removed)
        ):
            self.records.put(newest, after, now, after.over_at)
        elif after is not None:
            self.counts.refused["late"] += 1

    def _subscribe(self, subscription: Subscription, now: float) -> None:
        key, version = subscription.key, subscription.version
        before, removed = self.records.get(key), self.records.removed(key)
        known = before.version if isinstance(before, Subscription) else removed
        if isinstance(known, int) and (version < known or (before is None and version == known)):
            self.counts.refused["late"] += 1
        elif subscription.over(now):
            self.records.remove(key, version, now)
        elif before != subscription:
            self.records.put(key, subscription, now, subscription.over_at)

    def bodies(self, node: Node) -> Iterator[bytes]:
        """Who watches before what is published: a Kamailio tells watchers of what comes when it knows them,
        and its workers take what is sent at once in any order."""
        keys = self.records.listed()
        yield from self.bodies_of((key for key in keys if self._is_watcher(key)), node)
        yield FIRST_THAT
        yield from self.bodies_of((key for key in keys if not self._is_watcher(key)), node)

    def _is_watcher(self, key: Key) -> bool:
        return isinstance(self.records.get(key), Subscription)

    def body_of(self, key: Key, node: Node, now: float) -> bytes | None:
        """What has no document (its first message was not heard) is not given: a Kamailio would refuse it."""
        record = self.records.get(key)
        if isinstance(record, Subscription):
            speaks = node.ours or node.uri in self._speak_of_subscriptions
            return write_subscription(record.fields) if speaks and not record.over(now) else None
        if record is None or record.over_at <= now or not record.document:
            return None
        return record.body(now)

    def word_of(self, record: Record, stale: bool) -> str:
        return f"{_WATCHED if isinstance(record, Subscription) else _PUBLISHED}{record.event}"

    def on_node_up(self, node: Node) -> None:
        Mirror.on_node_up(self, node)
        if self.bus is not None:
            self.bus.send_message(self, SYNC_SUBSCRIPTIONS_BODY, node.uri, content_type=CONTENT_TYPE)

    def on_node_left(self, node: Node) -> None:
        Mirror.on_node_left(self, node)
        self._speak_of_subscriptions.discard(node.uri)
