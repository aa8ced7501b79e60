"""What is read of an address of record: the JSON list of its contacts, made contact by contact.

Some have thousands of contacts, and one contact costs several microseconds. So what was made is kept until a
contact changes or expires, and then only that contact's text is made anew; what is not there yet can be made
in pieces (:meth:`ContactTexts.readied`). Owns which texts are kept, and how many.
"""

from __future__ import annotations

import json
import math
from collections.abc import Generator, Iterable, Iterator
from typing import Final
from weakref import WeakValueDictionary

from dmqcache.peers.contact import Contact, key_of
from dmqcache.peers.usrloc_peer import UsrlocPeer

#: Bytes, about, that kept texts take together; the one that was read last is kept in any case.
MOST_BYTES: Final = 32 << 20
#: Of a text beside its characters, and of the list that it is in.
TEXT_BYTES: Final = 250
LIST_BYTES: Final = 700
#: Contacts whose texts make one piece of work, and lists that are looked at in one.
PIECE: Final = 32
LOOKED_AT: Final = 250
#: Bytes of a list that makes a piece of work by itself, to join it.
LONG: Final = 64 << 10


class AorText:
    """The contacts of one address of record."""

    __slots__ = ("__weakref__", "_contacts", "_fresh", "_list", "_made", "_until", "counted", "size")

    def __init__(self, contacts: Iterator[Contact]) -> None:
        #: Those of the beginning that are still to be looked at, and what has changed since.
        self._contacts = contacts
        self._fresh: dict[str, Contact] = {}
        #: By contact: when it leaves, and its text.
        self._made: dict[str, tuple[int, str]] = {}
        #: The whole, and when the first contact in it leaves; None: it is to be joined anew.
        self._list: str | None = None
        self._until: float = math.inf
        #: Bytes that it takes, about, and with which it was counted last.
        self.size = LIST_BYTES
        self.counted = 0

    def changed(self, key: str, contact: Contact | None) -> None:
        """A contact is another now (None: it is none of this address)."""
        self._forget_list()
        if contact is not None:
            self._fresh[key] = contact
            return
        self._fresh.pop(key, None)
        _, text = self._made.pop(key, (0, ""))
        self.size -= len(text) + TEXT_BYTES if text else 0

    def made(self) -> Iterator[None]:
        """Make the texts that are missing, so many in a piece. Whoever else does so meanwhile, helps."""
        for place, contact in enumerate(self._contacts):
            self._make(key_of(contact.fields), contact)
            if place % PIECE == PIECE - 1:
                yield
        while self._fresh:
            for place, key in enumerate(list(self._fresh)):
                fresh = self._fresh.pop(key, None)
                if fresh is not None:
                    self._make(key, fresh)
                if place % PIECE == PIECE - 1:
                    yield

    def _make(self, key: str, contact: Contact) -> None:
        self._forget_list()
        before = self._made.get(key)
        text = json.dumps(contact.lasting())
        # A contact that is refreshed stays in its place.
        self._made[key] = (contact.over_at, text)
        self.size += len(text) + (TEXT_BYTES if before is None else -len(before[1]))

    def _forget_list(self) -> None:
        if self._list is not None:
            self.size -= len(self._list)
            self._list = None

    def read(self, now: float) -> str:
        """The list of those that are there now; empty: there are none."""
        for _ in self.made():
            pass
        if now >= self._until:
            self._forget_list()
        if self._list is None:
            there = [one for one in self._made.values() if one[0] > now]
            self._until = min([until for until, _ in there], default=math.inf)
            self._list = f"[{', '.join([text for _, text in there])}]" if there else ""
            self.size += len(self._list)
        return self._list


class ContactTexts:
    """The texts that were read lately."""

    def __init__(self, peer: UsrlocPeer) -> None:
        self._peer = peer
        #: Those that somebody has: they are told what changes.
        self._all: WeakValueDictionary[str, AorText] = WeakValueDictionary()
        #: Those that are kept, the one that was not read for longest first.
        self._kept: dict[str, AorText] = {}
        self._bytes = 0

    def read(self, aor: str) -> str:
        """The contacts of an address of record as JSON; empty: there are none."""
        text = self._of(aor)
        found = text.read(self._peer.now)
        self._keep(aor, text)
        return found

    def readied(self, aors: Iterable[str]) -> Generator[None, None, list[AorText]]:
        """Make what reading them will need, in pieces. It is there for as long as what is returned is held,
        but for what changes meanwhile."""
        held = []
        for place, aor in enumerate(aors):
            text = self._of(aor)
            held.append(text)
            yield from text.made()
            text.read(self._peer.now)
            self._keep(aor, text)
            if text.size > LONG or place % LOOKED_AT == LOOKED_AT - 1:
                yield
        return held

    def changed(self, aor: str, key: str, contact: Contact | None) -> None:
        """A contact of an address of record is another now (None: it is gone from there)."""
        text = self._all.get(aor)
        if text is not None:
            text.changed(key, contact)

    def _of(self, aor: str) -> AorText:
        text = self._all.get(aor)
        if text is None:
            text = self._all[aor] = AorText(self._peer.each_contact(aor))
        return text

    def _keep(self, aor: str, text: AorText) -> None:
        if self._kept.pop(aor, None) is None:
            text.counted = 0
        self._kept[aor] = text
        self._bytes += text.size - text.counted
        text.counted = text.size
        while self._bytes > MOST_BYTES and len(self._kept) > 1:
            oldest = next(iter(self._kept))
            self._bytes -= self._kept.pop(oldest).counted
