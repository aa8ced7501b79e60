"""The contacts as clients' keys: a database of its own behind the tables, which can only be read.

``usrloc:AOR`` holds the contacts of an address of record as a JSON list, until the last of them expires. Owns
which keys there are, until when, and what is told of them; a value is put together when somebody reads it
(``contact_texts.py``), so that contacts are not kept twice. What a contact is, its peer knows
(``peers/usrloc_peer.py``).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Generator, Iterable, Mapping
from copy import copy
from typing import Final, NoReturn

from dmqcache.bus.peer import Peer
from dmqcache.peers.contact import FOR_EVER, Contact, key_of
from dmqcache.peers.mirror import among
from dmqcache.peers.record_changes import RecordChange
from dmqcache.peers.usrloc_peer import UsrlocPeer
from dmqcache.server.resp.contact_texts import ContactTexts
from dmqcache.server.resp.reply import CommandError
from dmqcache.store.table.cell import MAX_TTL_S, Cell, Value
from dmqcache.store.table.changes import Home, Subscribe, Watching
from dmqcache.store.table.checks import checked_key
from dmqcache.store.table.clock import Clock
from dmqcache.store.table.happenings import GONE, NOTHING, OVER
from dmqcache.store.table.settings import TableSettings
from dmqcache.store.table.table import Table
from dmqcache.store.table.use import TICKS_S

log = logging.getLogger("dmqcache.server.resp.contact_keys")

#: The database, and what its keys begin with: so an event tells by itself what it is about.
NAME: Final = "usrloc"
PREFIX: Final = f"{NAME}:"
READ_ONLY: Final = "READONLY These keys are the registrars' contacts: they can only be read here."


class ContactKeys(Table):
    """The keys. ``wall``: Unix time."""

    def __init__(self, peer: UsrlocPeer, clock: Clock, wall: Callable[[], float]) -> None:
        self._peer = peer
        self._wall = wall
        #: Address of record -> when the last of its contacts leaves, Unix seconds.
        self._until: dict[str, int] = {}
        self._texts = ContactTexts(peer)
        home = Home(_refuse, _Soon(peer), _watcher_failed, _not_by_programs)
        super().__init__(TableSettings(NAME), clock, home=home)
        for aor in peer.each_aor():
            self._look(aor, self._latest(aor), expired=False)
        #: From now on the keys stay as they are.
        self.close: Final = peer.tell_changes(self._changed_contact)

    @property
    def tick(self) -> int:
        """No bound on memory moves it: it is what it is."""
        return int(self.clock.now() * TICKS_S)

    @tick.setter
    def tick(self, _: int) -> None: ...

    # -- reading ----------------------------------------------------------------------------------------

    def get(self, key: str, default: Value | None = None) -> Value | None:  # type: ignore[override]
        cell = self.live_cell(key)
        if cell is None:
            self.counters.misses += 1
            return default
        self.counters.hits += 1
        return cell.value

    def live_cell(self, key: str) -> Cell | None:
        """A cell that holds what is known now."""
        cell = super().live_cell(key)
        if cell is None:
            return None
        shown = self.as_shown(cell)
        return shown if shown.value else None

    def as_shown(self, cell: Cell) -> Cell:
        shown = copy(cell)
        shown.value = self._texts.read(cell.key.removeprefix(PREFIX))
        return shown

    def readied(self, keys: Iterable[str]) -> Generator[None, None, object]:
        return self._texts.readied(key.removeprefix(PREFIX) for key in keys if key in self.cells)

    # -- what becomes of contacts -----------------------------------------------------------------------

    def _changed_contact(self, change: RecordChange[Contact]) -> None:
        self._change_texts(change.before, change.after)
        for aor in {one.aor for one in (change.before, change.after) if one is not None}:
            was, will = (
                one.over_at if one is not None and one.aor == aor else 0
                for one in (change.before, change.after)
            )
            latest = self._until.get(aor, 0)
            # All contacts of it are looked at only if the one that would have been there longest has gone:
            # some have thousands.
            until = will if will >= latest else latest if was < latest else self._latest(aor, latest)
            self._look(aor, until, change.expired)

    def _change_texts(self, before: Contact | None, after: Contact | None) -> None:
        if before is not None and (after is None or after.aor != before.aor):
            self._texts.changed(before.aor, key_of(before.fields), None)
        if after is not None:
            self._texts.changed(after.aor, key_of(after.fields), after)

    def _latest(self, aor: str, until: float = math.inf) -> int:
        """When the last contact of an address of record leaves; 0: it has none. ``until``: none is later."""
        latest = 0
        for one in self._peer.each_contact(aor):
            latest = max(latest, one.over_at)
            if latest >= until:
                break
        return latest

    def _look(self, aor: str, until: int, expired: bool) -> None:
        """An address of record has other contacts now, until then, or none any more (0)."""
        key = PREFIX + aor
        if until:
            self._until[aor] = until
        else:
            self._until.pop(aor, None)
        left = until - self._wall()
        cell = self.cells.get(key)
        if left <= 0:
            if cell is not None:
                self._drop(cell, expired)
        elif cell is not None or _is_key(key):
            left = math.inf if until >= FOR_EVER else min(left, MAX_TTL_S)
            life = 0 if left == math.inf else max(1, round(left * 1000))
            # Not by ``set``, which is for those who may not.
            self._write(cell, key, "", life, self.clock.now() + left, 0)

    def _drop(self, cell: Cell, expired: bool) -> None:
        """Without a trace: no node has to be told."""
        alive = cell.value is not None
        self.counters.expirations += alive and expired
        self.forget([cell], (OVER if expired else GONE) if alive else NOTHING)


def read_only_tables(
    tables: Mapping[str, Table], peers: Mapping[str, Peer], clock: Clock, wall: Callable[[], float]
) -> dict[str, ContactKeys]:
    """What clients find behind the tables, by name: nothing on a node that follows no registrations."""
    peer = among(peers, UsrlocPeer)
    if peer is None:
        return {}
    if NAME in tables:
        log.warning("clients find no contacts as keys: a table is named usrloc")
        return {}
    return {NAME: ContactKeys(peer, clock, wall)}


class _Soon:
    """The loop of the bus."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    def call_later(self, delay: float, callback: Callable[[], None]) -> None:
        if self._peer.runtime is not None:
            self._peer.runtime.call_later(delay, callback)


def _is_key(text: str) -> bool:
    """Whether a client could ask for it: not if it is too long, or spells bytes as no client's text does."""
    try:
        checked_key(text)
    except ValueError:
        return False
    return True


def _refuse() -> NoReturn:
    raise CommandError(READ_ONLY)


def _watcher_failed(error: Exception) -> None:
    log.error("a callback of the contacts' keys failed", exc_info=error)


def _not_by_programs(subscribe: Subscribe, prefix: str) -> Watching:
    raise RuntimeError("a program watches the contacts with peer.changes()")
