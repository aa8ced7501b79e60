"""The ``usrloc`` channel's peer: the contacts of all registrars, as ``--peer usrloc`` has them.

A mirror and a donor: it asks, and tells contacts to who asks or lacks them (``usrloc_healing.py`` says when).
It never makes a contact, refreshes one, or removes one that no registrar has removed. What a message means
is ``usrloc_wire.py``'s, what becomes of a contact, ``contact.py``'s.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Final

from dmqcache.bus.node import Node
from dmqcache.bus.peer import Message, Reply, Response
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.peers.contact import Contact, key_of, removed_fields, told
from dmqcache.peers.json_fields import Fields
from dmqcache.peers.mirror import CONTENT_TYPE, MAX_GIVEN_BYTES, Mirror
from dmqcache.peers.remembered import REMEMBERED_S
from dmqcache.peers.usrloc_crossing import Crossing
from dmqcache.peers.usrloc_healing import UsrlocHealing
from dmqcache.peers.usrloc_wire import (
    MAX_BATCH,
    SYNC_BODY,
    UsrlocAction,
    UsrlocWord,
    contacts_in,
    read_usrloc,
    write_batches,
    write_contact,
)

#: Kamailio from 5.8 on reads ``xavps``, and in a message of its own alone.
_KNOWS_XAVPS = re.compile(r"kamailio \((?:5\.(?:[89]|\d\d)|[6-9]\.|\d\d)", re.IGNORECASE)
#: Kamailio before 6.2 takes the last word to arrive, whatever it says of its time.
_COUNTS_ARRIVAL = re.compile(r"kamailio \((?:5\.|6\.[01]\b)", re.IGNORECASE)
#: Seconds for which a removal is remembered at most: of a contact that never expires.
MOST_REMEMBERED_S: Final = 7 * 86_400


class UsrlocPeer(Mirror[str, Contact]):
    """The contacts. ``contacts()`` is what is known of now."""

    __slots__ = (
        *("_aors", "_crossing", "_healing", "_sender", "_up"),
        *("refreshes", "registrations", "removals", "told_again"),
    )

    sync_body = SYNC_BODY

    def __init__(self, channel: str = "usrloc") -> None:
        """``channel``: what ``dmq_peer_id`` of module dmq_usrloc names (6.2 and later)."""
        super().__init__(channel)
        #: Address of record -> the keys of its contacts.
        self._aors: dict[str, dict[str, None]] = {}
        self._sender: Node | None = None
        self._healing = UsrlocHealing(self)
        self._crossing = Crossing()
        #: Who is there.
        self._up: dict[NodeURI, Node] = {}
        #: Contacts, and removals, that nodes were told as they had not heard them.
        self.told_again = 0
        #: Contacts that were registered, refreshed, and removed by a registrar, since this node runs.
        self.registrations = 0
        self.refreshes = 0
        self.removals = 0

    def contacts(self, aor: str = "") -> list[Contact]:
        """The contacts that have not expired; with ``aor``, those of this address of record, as its registrar
        writes it (``alice``, or ``alice@example.com`` under ``use_domain``)."""
        return list(self.each_contact(aor))

    def each_contact(self, aor: str = "") -> Iterator[Contact]:
        """The same, one by one; those that go meanwhile are left out."""
        keys = list(self._aors.get(aor, ())) if aor else self.records.listed()
        for key in keys:
            found = self.records.get(key)
            if found is not None and found.over_at > self.now:
                yield found

    def each_aor(self) -> Iterator[str]:
        """The addresses of record, in the order in which they were heard of; those that go meanwhile are left
        out."""
        return (aor for aor in list(self._aors) if aor in self._aors)

    def aors(self) -> int:
        """How many addresses of record have a contact."""
        return len(self._aors)

    def by_node(self) -> dict[str, int]:
        """How many contacts each node has told last."""
        return {node: count for node, count in self.records.counted.items() if count}

    # -- a mirror's --------------------------------------------------------------------------------------

    def handle(self, message: Message) -> Reply:
        self._sender = message.node
        if message.node is not None:
            self._healing.heard(message.node)
        return super().handle(message)

    def on_node_up(self, node: Node) -> None:
        self._up[node.uri] = node
        self._healing.up(node)
        super().on_node_up(node)

    def on_node_down(self, node: Node) -> None:
        super().on_node_down(node)
        self._up.pop(node.uri, None)
        self._healing.down(node)

    def on_node_left(self, node: Node) -> None:
        super().on_node_left(node)
        self._healing.left(node)

    def hear(self, body: bytes, now: float) -> bool:
        words = read_usrloc(body)
        asks = False
        for word in words:
            self.counts.words[word.action.name.lower()] += 1
            if word.action is UsrlocAction.SYNC:
                asks = True
                if self._sender is not None:
                    self._healing.asks(self._sender)
            elif word.action is UsrlocAction.REMOVE:
                self._remove(word, now)
            else:
                self._update(word, now)
        return asks

    def _update(self, word: UsrlocWord, now: float) -> None:
        key = key_of(word.fields)
        before = self.records.get(key)
        node = "" if self._sender is None else str(self._sender.uri)
        knows_xavps = self._sender is None or _knows_xavps(self._sender)
        after = told(before, word, node, self._is_dated(word), knows_xavps)
        removed = self._removed(key, after) if before is None else None
        # The last word on a contact may be that its time is over by now.
        if removed is not None or (before in (None, after) and after.over_at <= now):
            self.counts.refused["late"] += 1
        elif after is not before:
            self.records.put(key, after, now, after.over_at)
            if before is None:
                self.registrations += 1
            else:
                self.refreshes += 1
            for other in self._who_was_told(key):
                self.tell(other, [key])
        if self._sender is not None and after.over_at > now:
            owner, news = "" if before is None else before.node, after is not before
            self._healing.shows(self._sender.uri, key, word.fields, removed, owner=owner, news=news)

    def _remove(self, word: UsrlocWord, now: float) -> None:
        """A registrar says all fields of what it removes, those of its last refresh."""
        key = key_of(word.fields)
        before = self.records.get(key)
        modified = word.fields.get("last_modified")
        earlier = before is not None and isinstance(modified, int) and modified < before.last_modified
        # Nobody shows a removal as an answer but a dmqcache node.
        if earlier and (word.batched or self._counts_times()):
            self.counts.refused["late"] += 1
            return
        removed = self._forget(key, word.fields, now)
        if removed is not None:
            self.removals += 1
            refreshed = max(removed.last_modified, modified if isinstance(modified, int) else 0)
            for other in self._who_was_told(key):
                self.tell_removed(other, [{**removed.fields, "last_modified": refreshed}])

    def _who_was_told(self, key: str) -> list[Node]:
        """Who was told a contact a moment ago, and may have heard the word of now before that."""
        if self.runtime is None or self._sender is None:
            return []
        told = self._crossing.who_was_told(key, self.runtime.now())
        return [self._up[uri] for uri in told if uri in self._up and uri != self._sender.uri]

    def _forget(self, key: str, fields: Fields, now: float) -> Contact | None:
        """A registrar has removed a contact. Of the removal only its time is kept, -1 where it has none: that
        of the last refresh, of which the registrar may not have heard."""
        before = self.records.get(key)
        modified = fields.get("last_modified")
        identity = modified if isinstance(modified, int) else -1
        identity = max(identity, -1 if before is None else before.last_modified)
        return self.records.remove(key, identity, now, _remembered(fields, now))

    def _is_dated(self, word: UsrlocWord) -> bool:
        """Whether a word is of the time that it says. A registrar before 6.2 counts what comes last; what is
        shown as an answer is of any time."""
        if self._sender is None or word.batched or self._healing.looks_at(self._sender.uri):
            return True
        return self._counts_times()

    def _counts_times(self) -> bool:
        sender = self._sender
        return sender is None or sender.ours or not _COUNTS_ARRIVAL.match(sender.user_agent)

    def _removed(self, key: str, contact: Contact) -> int | None:
        """When a contact that a registrar has removed was refreshed last, if that was not before this word of
        it."""
        removed = self.records.removed(key)
        return removed if isinstance(removed, int) and contact.last_modified <= removed else None

    # -- what healing needs ------------------------------------------------------------------------------

    def known(self) -> list[str]:
        return self.records.listed()

    def has_any_of(self, node: NodeURI) -> bool:
        return bool(self.records.counted.get(str(node)))

    def contact(self, key: str) -> Contact | None:
        found = self.records.get(key)
        return found if found is not None and found.over_at > self.now else None

    def ask(self, node: Node) -> None:
        """Once: a Kamailio gives everything anew to each copy of the question. ``usrloc_healing.py`` has it
        asked again if it says nothing."""

        def answered(response: Response) -> None:
            if response.local:
                self._healing.unanswered(node)
            else:
                self._healing.answered(node, response.status)

        if self.bus is not None:
            self.bus.send_message(
                self,
                SYNC_BODY,
                node.uri,
                content_type=CONTENT_TYPE,
                on_response=answered,
                repeat=False,
            )

    def tell(self, node: Node, keys: list[str]) -> None:
        if node.uri not in self._givings:  # else it is being told everything
            self.told_again += len(keys)
            self._give_some(node, self._bodies(node, keys))

    def tell_others(self, node: Node, keys: list[str]) -> None:
        for other in self._up.values():
            if other.uri != node.uri:
                self.tell(other, keys)

    def tell_removed(self, node: Node, removed: list[Fields]) -> None:
        self.told_again += len(removed)
        self._give_some(node, (body for fields in removed if (body := self._removal(fields)) is not None))

    def follow(self, key: str, node: Node) -> None:
        found = self.records.get(key)
        if found is None or self.bus is None:
            return
        self._forget(key, found.fields, self.now)
        self.removals += 1
        body = self._removal(found.fields)
        if body is not None:
            self.bus.bcast_message(self, body, content_type=CONTENT_TYPE, exclude=node.uri)

    def _removal(self, fields: Fields) -> bytes | None:
        """The body that says that a contact with these fields was removed."""
        said = {name: value for name, value in fields.items() if name != "xavps"}
        body = write_contact(said, UsrlocAction.REMOVE)
        if len(body) <= MAX_GIVEN_BYTES:
            return body
        self.counts.refused["too_large_to_give"] += 1
        return None

    # -- what is given -----------------------------------------------------------------------------------

    def bodies(self, node: Node) -> Iterator[bytes]:
        """A dmqcache node is told what was removed too, and until when that counts: it may meet a registrar
        that has not heard of it."""
        yield from self._bodies(node, self.records.listed())
        if node.ours:
            removed = (removed_fields(*one) for one in self.records.remembered())
            yield from write_batches(removed, MAX_GIVEN_BYTES, UsrlocAction.REMOVE)

    def _bodies(self, node: Node, keys: list[str]) -> Iterator[bytes]:
        """Contacts, many in a message; those with ``xavps`` by themselves, to who knows such."""
        alone = _knows_xavps(node)
        contacts = filter(None, map(partial(self._told_now, node), keys))
        kept: list[str] = []

        def plain() -> Iterator[Fields]:
            # Only so many are looked at before something is given: else 200,000 would hold everybody up.
            while len(kept) < MAX_BATCH and (contact := next(contacts, None)) is not None:
                if alone and "xavps" in contact.fields:
                    kept.append(key_of(contact.fields))
                    continue
                fields = {name: value for name, value in contact.fields.items() if name != "xavps"}
                if len(write_contact(fields)) > MAX_GIVEN_BYTES:
                    self.counts.refused["too_large_to_give"] += 1
                    continue
                yield fields

        yield from write_batches(plain(), MAX_GIVEN_BYTES)
        while kept:
            for key in kept:
                body = self.body_of(key, node, self.now)
                if body is not None:
                    yield body
            kept.clear()
            yield from write_batches(plain(), MAX_GIVEN_BYTES)

    def _told_now(self, node: Node, key: str) -> Contact | None:
        """A contact that a node is to be told, as it is now."""
        found = self.contact(key)
        if found is not None and self.runtime is not None and not node.ours:
            self._crossing.told(key, node.uri, self.runtime.now())
        return found

    def body_of(self, key: str, node: Node, now: float) -> bytes | None:
        found = self.records.get(key)
        if found is None or found.over_at <= now:
            return None
        body = write_contact(found.fields)
        if len(body) > MAX_GIVEN_BYTES:
            self.counts.refused["too_large_to_give"] += 1
            return None
        return body

    def records_in(self, body: bytes) -> int:
        return contacts_in(body)

    def word_of(self, record: Contact, stale: bool) -> str:
        return record.node

    def changed(self, before: Contact | None, after: Contact | None) -> None:
        if before is not None and (after is None or after.aor != before.aor):
            keys = self._aors[before.aor]
            keys.pop(key_of(before.fields), None)
            if not keys:
                del self._aors[before.aor]
        if after is not None and (before is None or after.aor != before.aor):
            self._aors.setdefault(after.aor, {})[key_of(after.fields)] = None


def _knows_xavps(node: Node) -> bool:
    return node.ours or bool(_KNOWS_XAVPS.match(node.user_agent))


def _remembered(fields: Fields, now: float) -> float:
    """Until when a removal is remembered: until the contact would have expired, as somebody who was cut off
    may show it until then."""
    expires = fields.get("expires")
    until = expires if isinstance(expires, int) and expires else now + MOST_REMEMBERED_S
    return max(now + REMEMBERED_S, min(until, now + MOST_REMEMBERED_S))
