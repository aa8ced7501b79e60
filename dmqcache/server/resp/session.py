"""What one client's connection is and shares with the others: the state that commands read and change.

No bytes and no asyncio: ``connection.py`` moves those. What they need of the node is ``served_node.py``'s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from dmqcache.server.resp.acl import User, Users
from dmqcache.server.resp.acl_log import AclLog
from dmqcache.server.resp.contact_keys import ContactKeys, read_only_tables
from dmqcache.server.resp.cursors import Cursors
from dmqcache.server.resp.key_events import KeyEvents
from dmqcache.server.resp.latency import Latency
from dmqcache.server.resp.long_reply import Reply
from dmqcache.server.resp.monitors import Monitors
from dmqcache.server.resp.pause import Pause
from dmqcache.server.resp.served_node import ServedNode
from dmqcache.server.resp.slow_log import SlowLog
from dmqcache.server.resp.subscriptions import Subscriptions
from dmqcache.server.resp.tracking import Tracked, Tracking
from dmqcache.store.table.clock import Clock
from dmqcache.store.table.table import Table

#: A reply that is there, or one to wait for.
Answer = bytes | Coroutine[Any, Any, Reply]


class Scripts(Protocol):
    """What ``commands_script.py`` keeps for a server."""

    @property
    def count(self) -> int:
        """How many scripts are remembered."""

    @property
    def size(self) -> int:
        """Bytes of their text."""

    def close(self) -> None:
        """The server closes."""


@dataclass(slots=True)
class RespCounters:
    """Plain numbers about the clients. Everything only ever grows."""

    connections: int = 0
    commands: int = 0
    #: reason -> connections refused or closed by us
    refused: Counter[str] = field(default_factory=Counter)
    #: Replies that were errors.
    errors: int = 0
    bytes_in: int = 0
    bytes_out: int = 0


@dataclass(slots=True)
class Shared:
    """What all clients of one server share."""

    node: ServedNode
    #: Unix time in seconds.
    wall: Callable[[], float]
    #: Monotonic seconds.
    clock: Callable[[], float]
    cursors: Cursors
    #: Runs one command; EXEC runs those of its transaction with it.
    execute: Callable[[Session, list[str]], Answer]
    #: Forty hexadecimal digits, new with each start (Redis' run_id).
    run_id: str = "0" * 40
    port: int = 0
    max_clients: int = 0
    #: Clients for which the system has files.
    room: int = 0
    #: Bytes of all clients' unfinished commands, commands that wait, and replies that were not taken.
    held: int = 0
    started: float = 0.0
    #: What the process took then.
    startup_bytes: int = 0
    counters: RespCounters = field(default_factory=RespCounters)
    #: Who may do what; without any, everybody may do everything.
    users: Users = field(default_factory=Users)
    #: Reads the users' file again (ACL LOAD), in steps, and lets what stands there count; ValueError with the
    #: line that is wrong. None: there is no such file.
    load_users: Callable[[], Generator[None, None, None]] | None = None
    acl_log: AclLog = field(default_factory=AclLog)
    #: While nobody needs a password, clients of other machines are refused.
    protected: bool = False
    sessions: dict[int, Session] = field(default_factory=dict)
    next_id: int = 1
    #: What ``commands_script.py`` keeps, from the first script on.
    scripts: Scripts | None = None
    #: What SELECT finds: the node's tables, and behind them what can only be read.
    tables: Mapping[str, Table] = field(init=False)
    read_only: Mapping[str, ContactKeys] = field(init=False)
    subscriptions: Subscriptions = field(init=False)
    #: What is told of keys to those who subscribe.
    key_events: KeyEvents = field(init=False)
    tracking: Tracking = field(init=False)
    pause: Pause = field(init=False)
    monitors: Monitors = field(init=False)
    slow_log: SlowLog = field(init=False)
    latency: Latency = field(init=False)
    #: What INFO's figures were at CONFIG RESETSTAT.
    stats_before: dict[str, int] = field(default_factory=dict)
    #: Who wants to know of every command, see ``looking_on.py``.
    looked_at: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        clock = Clock(self.clock, lambda: round(self.wall() * 1000))
        self.read_only = read_only_tables(self.node.tables, self.node.peers, clock, self.wall)
        self.tables = {**self.node.tables, **self.read_only}
        self.subscriptions = Subscriptions(lambda: self.key_events.look())
        self.key_events = KeyEvents(self.tables, self.subscriptions)
        self.tracking = Tracking(self.tables, self.sessions)
        self.pause = Pause(self.clock)
        self.monitors = Monitors(lambda any_: self._look_at_all("monitors", any_))
        self.latency = Latency(self.wall, lambda all_: self._look_at_all("latency", all_))
        self.slow_log = SlowLog(self.wall, lambda all_: self._look_at_all("slow log", all_))
        self.node.memory.listen(lambda: self._look_at_all("memory", self.node.memory.full))

    def _look_at_all(self, who: str, wanted: bool) -> None:
        """Somebody wants, or does not want any more, to know of every command."""
        before = bool(self.looked_at)
        (self.looked_at.add if wanted else self.looked_at.discard)(who)
        if bool(self.looked_at) != before:
            for session in self.sessions.values():
                session.restrict()


@dataclass(slots=True)
class Transaction:
    """What a client said since MULTI."""

    commands: list[list[str]] = field(default_factory=list)
    #: What they take, about.
    size: int = 0
    #: One of them waits in a pause of writes, so EXEC does.
    changes: bool = False
    #: One of them was rejected: EXEC will not run the others.
    failed: bool = False


class Session:
    """One connection."""

    __slots__ = (
        "address",
        "answer",
        "authenticated",
        "channels",
        "closing",
        "connected",
        "end",
        "executing",
        "forgets",
        "hears_all",
        "hears_resp3",
        "id",
        "lib_name",
        "lib_version",
        "limited",
        "name",
        "patterns",
        "push",
        "resp3",
        "scripted",
        "shared",
        "skipped",
        "subscribed_bytes",
        "table",
        "table_name",
        "timed_out",
        "tracked",
        "transaction",
        "user",
        "waiting",
        "watched",
        "watched_bytes",
    )

    def __init__(
        self,
        shared: Shared,
        address: str,
        end: Callable[[], None],
        push: Callable[[bytes], None],
        answer: Callable[[bytes], None] = lambda reply: None,
    ) -> None:
        """``end`` closes the connection, ``push`` writes to the client beside the replies; ``answer`` is
        given the reply of a command under way that waits no more for its own."""
        self.shared = shared
        self.address = address
        self.id = shared.next_id
        shared.next_id += 1
        self.connected = shared.clock()
        self.closing = False
        #: A command of this client is under way, and those behind it wait.
        self.waiting = False
        self.lib_name = self.lib_version = ""
        self.end: Final = end
        self.push = push
        self.answer = answer
        #: What a command under way would reply at its time limit; None: it cannot be cut short.
        self.timed_out: Callable[[], bytes] | None = None
        #: What it subscribes to: see ``subscriptions.py``.
        self.channels: dict[str, None] = {}
        self.patterns: dict[str, None] = {}
        self.subscribed_bytes = 0
        #: See ``tracking.py``.
        self.tracked: Tracked | None = None
        #: By name, what else is told this client; called, it is not any more.
        self.forgets: dict[str, Callable[[], None]] = {}
        self.reset()

    def reset(self) -> None:
        """As a new connection is (RESET)."""
        self.name = ""
        self.speak(False)
        #: None outside of MULTI and EXEC.
        self.transaction: Transaction | None = None
        #: Commands are those of a transaction: none of them may wait.
        self.executing = False
        #: They are those of a script.
        self.scripted = False
        #: Table and key -> what WATCH saw there.
        self.watched: dict[tuple[str, str], tuple[bool, int]] = {}
        self.watched_bytes = 0
        #: Replies that are not to be sent (CLIENT REPLY).
        self.skipped = 0
        self.table_name: str = next(iter(self.shared.tables), "")
        self.table: Table = self.shared.tables[self.table_name]
        self.become(self.shared.users.default, self.shared.users.open)

    def speak(self, resp3: bool) -> None:
        """RESP3, or RESP2, from now on."""
        #: The replies of commands; those that a script gets are RESP2 at any time.
        self.resp3 = resp3
        #: What the client is told beside its replies, by a script of its own too.
        self.hears_resp3 = resp3

    def become(self, user: User, authenticated: bool = True) -> None:
        """This user from now on; ``authenticated`` false: until it says who it is, nobody."""
        self.user = user
        self.authenticated = authenticated
        #: No change needs to be held against the rules before the client is told of it.
        self.hears_all = self.is_free
        self.restrict()

    def restrict(self) -> None:
        """Decide anew whether each command must be looked at, as some are refused."""
        self.limited = (
            self.only_listens
            or self.tracked is not None
            or not self.is_free
            or bool(self.shared.looked_at)
            or self.only_reads
        )

    @property
    def is_free(self) -> bool:
        """Whether the client may run every command, by its user's rules."""
        return self.authenticated and self.user.unlimited

    def may_hear(self, table: str, key: str) -> bool:
        """Whether the client may be told that a key (empty: all keys) of a table changed."""
        return self.hears_all or (self.authenticated and self.user.may_hear(table, key))

    @property
    def only_reads(self) -> bool:
        """Whether the database that is selected can only be read."""
        return self.table_name in self.shared.read_only

    @property
    def only_listens(self) -> bool:
        """Whether the client subscribes and could not tell a reply from a message (RESP2)."""
        return not self.hears_resp3 and bool(self.channels or self.patterns)

    def let_go(self) -> None:
        """The client is told nothing any more."""
        self.shared.subscriptions.leave(self)
        self.shared.tracking.end(self)
        for forget in self.forgets.values():
            forget()
        self.forgets.clear()

    def end_transaction(self) -> None:
        """EXEC and DISCARD: nothing is queued and watched any more."""
        self.transaction = None
        self.forget_watched()

    def forget_watched(self) -> None:
        """No key is watched any more."""
        self.watched.clear()
        self.watched_bytes = 0

    @property
    def held(self) -> int:
        """Bytes, about, of what the client has the node keep between two commands."""
        queued = self.transaction.size if self.transaction is not None else 0
        names = len(self.name) + len(self.lib_name) + len(self.lib_version)
        return queued + self.watched_bytes + self.subscribed_bytes + names

    def select(self, name: str) -> bool:
        """Go over to another table, by its name or by its place in the order of declaration."""
        found = self.find_table(name)
        if found is None:
            return False
        self.table_name, self.table = found, self.shared.tables[found]
        self.restrict()
        return True

    def find_table(self, name: str) -> str | None:
        """The name of a table, by that or by its place."""
        tables = self.shared.tables
        if name in tables:
            return name
        return next((one for place, one in enumerate(tables) if name == str(place)), None)

    def describe(self) -> str:
        """As a line of CLIENT LIST."""
        age = int(self.shared.clock() - self.connected)
        return (
            f"id={self.id} addr={self.address} name={self.name} age={age} db={self.index} "
            f"table={self.table_name} sub={len(self.channels)} psub={len(self.patterns)} "
            f"user={self.user.name} resp={3 if self.hears_resp3 else 2} "
            f"lib-name={self.lib_name} lib-ver={self.lib_version}"
        )

    @property
    def index(self) -> int:
        """The table's place in the order of declaration: Redis' database number."""
        return list(self.shared.tables).index(self.table_name)
