"""Client-side caches: which client has read which keys, and is told when they change (CLIENT TRACKING).

By default a client is told once of each key that it has read (of all it reads, of what it says before it
reads, or of all but that: ``Reads``); with BCAST of every change of keys with its prefixes. As in Redis a key
is its name, whatever the table. Nobody is told of a key, or of a table's flush, that he may not read. Another
client may be told in its place (REDIRECT), whose rules count too, and it may want to hear nothing of what it
changes itself (NOLOOP). The tables are listened to only while somebody tracks. Around a command
``run_tracked.py`` says whose it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
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


class Reads(Enum):
    """Which of a client's reads are remembered; the values are Redis' words."""

    ALL = ""
    #: Those after CLIENT CACHING YES.
    NAMED = "optin"
    #: All but those after CLIENT CACHING NO.
    NOT_NAMED = "optout"


@dataclass(slots=True)
class Tracked:
    """How a client tracks."""

    #: It is told of keys with these prefixes; empty: of what it has read.
    prefixes: tuple[str, ...] = ()
    #: The id of the client that is told in its place; 0: itself.
    redirect: int = 0
    reads: Reads = Reads.ALL
    #: It is told nothing of what it changes itself, but for a flush.
    noloop: bool = False
    #: CLIENT CACHING was said of the next command or transaction.
    named: bool = False
    #: Whoever is to be told in its place was found to be gone.
    broken: bool = False

    @property
    def remembers(self) -> bool:
        """Whether what the client reads now is remembered."""
        if self.prefixes:
            return False
        return self.reads is Reads.ALL or self.named == (self.reads is Reads.NAMED)


class Tracker(Protocol):
    """A client with a cache of its own."""

    #: None: it does not track.
    tracked: Tracked | None
    hears_resp3: bool

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
        #: Whose command runs, if that one tracks; and what it is to be told itself, after the reply.
        self._acting: Tracker | None = None
        self._own: list[bytes] = []

    @property
    def clients(self) -> int:
        """How many track."""
        return len(self._trackers)

    @property
    def keys(self) -> int:
        """Keys that were read and not told since."""
        return len(self._readers)

    @property
    def reads(self) -> int:
        """The same, each for everybody who has read it."""
        return self._reads

    @property
    def prefixes(self) -> int:
        """Prefixes of which somebody is told."""
        return len({prefix for one in self._trackers if one.tracked for prefix in one.tracked.prefixes})

    @contextmanager
    def acting(self, who: Tracker) -> Iterator[list[bytes]]:
        """What changes within is changed by this client. What it is to be told itself is added to the list,
        for whoever began first to write it."""
        former = self._acting, self._own
        if self._acting is not who:
            self._acting, self._own = who, []
        try:
            yield self._own
        finally:
            self._acting, self._own = former

    def begin(self, who: Tracker, how: Tracked) -> None:
        """Tell a client of what it reads from now on, or of what it named."""
        who.tracked = how
        self._trackers[who] = None
        if not self._forget:
            self._forget = [
                table.listen(partial(self._happened, name)) for name, table in self._tables.items()
            ]

    def end(self, who: Tracker) -> None:
        """Tell it nothing any more."""
        who.tracked = None
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
        # That a key's time is over is nobody's change.
        author = self._acting if Event.EXPIRED not in events else None
        self._tell(key, table, author)
        for one in list(self._trackers):
            how = one.tracked
            if how is None or not how.prefixes or (one is author and how.noloop):
                continue
            if key.startswith(how.prefixes) and one.may_hear(table, key):
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

    def _tell(self, key: str, table: str | None = None, author: Tracker | None = None) -> None:
        """That it changed, to its readers, once; of a ``table`` that one may not read, not to that one.
        ``author`` changed it."""
        readers = self._readers.get(key)
        if readers is None:
            return
        told = list(readers) if table is None else [one for one in readers if one.may_hear(table, key)]
        self._forget_readers(key, told)
        for one in told:
            how = one.tracked
            if how is not None and not how.prefixes and not (one is author and how.noloop):
                self._push(one, table, key)

    def _push(self, who: Tracker, table: str | None, key: str) -> None:
        """That a key (empty: every key) changed, to a client or to whom it named; of a ``table``, or of
        whichever."""
        how = who.tracked
        assert how is not None
        told = self._clients.get(how.redirect) if how.redirect else who
        if told is None:
            how.broken = True
            if who.hears_resp3:
                self._write(who, _BROKEN % how.redirect)
            return
        tables = self._tables if table is None else (table,)
        if told is not who and not all(told.may_hear(one, key) for one in tables):
            return
        if told.hears_resp3:
            self._write(told, _PUSH + (b"*1\r\n" + bulk(key) if key else b"_\r\n"))
        elif how.redirect and told.only_listens:
            self._write(told, _MESSAGE + (b"*1\r\n" + bulk(key) if key else b"$-1\r\n"))

    def _write(self, told: Tracker, data: bytes) -> None:
        if told is self._acting:
            self._own.append(data)
        else:
            told.push(data)

    def _forget_readers(self, key: str, told: list[Tracker]) -> None:
        readers = self._readers[key]
        for one in told:
            del readers[one]
        self._reads -= len(told)
        if not readers:
            del self._readers[key]
