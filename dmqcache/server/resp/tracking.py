"""Client-side caches: which client has read which keys, and is told when they change (CLIENT TRACKING).

By default a client is told once of each key that it has read; with BCAST of every change of keys with its
prefixes. As in Redis a key is its name, whatever the table. Nobody is told of a key, or of a table's flush,
that he may not read. A client may have another one told in its place (REDIRECT), whose rules count too. The
tables are listened to only while somebody tracks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, Protocol

from dmqcache.server.resp.reply import bulk
from dmqcache.store.table.happenings import Event, Events
from dmqcache.store.table.table import Table

#: Reads that are remembered for all clients together, each of a key by a client. Of one more, the key
#: that was read longest ago is told as changed (as Redis does with tracking-table-max-keys).
MAX_READS: Final = 100_000
#: Prefixes of one client.
MAX_PREFIXES: Final = 100
#: What a RESP2 client gets that subscribes to something, as a message of this channel (Redis' rule).
_MESSAGE: Final = b"*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n"
_PUSH: Final = b">2\r\n$10\r\ninvalidate\r\n"
_BROKEN: Final = b">2\r\n$21\r\ntracking-redir-broken\r\n:%d\r\n"


class Tracker(Protocol):
    """A client with a cache of its own."""

    #: None: it does not track. Empty: it is told of what it has read. Else of keys with these prefixes.
    tracked: tuple[str, ...] | None
    #: The id of the client that is told in its place; 0: itself. And whether that one was found to be gone.
    redirect: int
    redirect_broken: bool
    resp3: bool

    @property
    def only_listens(self) -> bool:
        """Whether it subscribes to something, in RESP2."""

    def may_hear(self, table: str, key: str) -> bool:
        """Whether the client may be told that a key (empty: all keys) of a table changed."""

    @property
    def push(self) -> Callable[[bytes], None]:
        """Writes to the client, beside the replies."""


class Tracking:
    """All clients of one server that track."""

    def __init__(self, tables: Mapping[str, Table], clients: Mapping[int, Tracker]) -> None:
        """``clients``: those that are there, by their ids."""
        self._tables = tables
        self._clients = clients
        self._trackers: dict[Tracker, None] = {}
        #: Key -> who has read it. Who has ended is left there until the key is told.
        self._readers: dict[str, dict[Tracker, None]] = {}
        self._reads = 0
        self._forget: list[Callable[[], None]] = []

    def begin(self, who: Tracker, prefixes: tuple[str, ...], redirect: int = 0) -> None:
        """Tell a client of what it reads from now on; with ``prefixes``, of all changes of such keys. With
        ``redirect`` the client with this id is told."""
        who.tracked, who.redirect, who.redirect_broken = prefixes, redirect, False
        self._trackers[who] = None
        if not self._forget:
            self._forget = [
                table.listen(partial(self._happened, name)) for name, table in self._tables.items()
            ]

    def end(self, who: Tracker) -> None:
        """Tell it nothing any more."""
        who.tracked, who.redirect, who.redirect_broken = None, 0, False
        if self._trackers.pop(who, self) is self:
            return
        if not self._trackers:
            self._readers.clear()
            self._reads = 0
            for forget in self._forget:
                forget()
            self._forget = []

    def read(self, who: Tracker, key: str) -> None:
        """A client that is told of what it reads has read a key."""
        readers = self._readers.get(key)
        if readers is None:
            readers = self._readers[key] = {}
        if who not in readers:
            readers[who] = None
            self._reads += 1
            if self._reads > MAX_READS:
                self._tell(next(iter(self._readers)))

    def _happened(self, table: str, key: str, events: Events) -> None:
        if events[0] is Event.FLUSH:
            self._flushed(table)
            return
        self._tell(key, table)
        for one in list(self._trackers):
            if one.tracked and key.startswith(one.tracked) and one.may_hear(table, key):
                self._push(one, table, key)

    def _flushed(self, table: str) -> None:
        told = {one: None for one in self._trackers if one.may_hear(table, "")}
        if len(told) == len(self._trackers):
            self._readers.clear()
            self._reads = 0
        else:
            for key, readers in list(self._readers.items()):
                self._forget_readers(key, [one for one in readers if one in told])
        for one in told:
            self._push(one, table, "")

    def _tell(self, key: str, table: str | None = None) -> None:
        """That it changed, to its readers, once; of a ``table`` that one may not read, not to that one."""
        readers = self._readers.get(key)
        if readers is None:
            return
        told = list(readers) if table is None else [one for one in readers if one.may_hear(table, key)]
        self._forget_readers(key, told)
        for one in told:
            if one.tracked == ():
                self._push(one, table, key)

    def _push(self, who: Tracker, table: str | None, key: str) -> None:
        """That a key (empty: every key) changed, to a client or to whom it named; of a ``table``, or of
        whichever."""
        told = self._clients.get(who.redirect) if who.redirect else who
        if told is None:
            who.redirect_broken = True
            if who.resp3:
                who.push(_BROKEN % who.redirect)
            return
        tables = self._tables if table is None else (table,)
        if told is not who and not all(told.may_hear(one, key) for one in tables):
            return
        if told.resp3:
            told.push(_PUSH + (b"*1\r\n" + bulk(key) if key else b"_\r\n"))
        elif who.redirect and told.only_listens:
            told.push(_MESSAGE + (b"*1\r\n" + bulk(key) if key else b"$-1\r\n"))

    def _forget_readers(self, key: str, told: list[Tracker]) -> None:
        readers = self._readers[key]
        for one in told:
            del readers[one]
        self._reads -= len(told)
        if not readers:
            del self._readers[key]
