"""A cluster of real nodes of both kinds, named k1, k2, ... (Kamailio) and d1, d2, ... (dmqcache).

It owns who is seeded with whom, start and end, and the question "is a table equal everywhere". Both kinds
answer the same words (`Node`), so a test is written once and run from either side.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, Protocol

from tests.interop.daemon import Daemon, wait_until
from tests.interop.dmqcache_node import DmqcacheNode
from tests.interop.kamailio import Kamailio, Value
from tests.interop.lineups import LINEUPS, ONE
from tests.interop.netns import Network

TABLES = (
    "users=>size=12;autoexpire=3600;dmqreplicate=1;",
    "calls=>size=8;initval=0;dmqreplicate=1;",
)
"""`users` expires, `calls` does not and counts from 0."""

JOIN_TIMEOUT_S = 30.0
SEEN_TIMEOUT_S = 15.0
"""A change on loopback is seen within milliseconds; a lost datagram costs 0.5 to 1.5 s. A machine that is
busy with other work, or stands still for some seconds, needs longer."""

Seeding = Literal["all", "first"]


class Node(Protocol):
    """What both kinds answer."""

    host: str

    @property
    def uri(self) -> str: ...
    @property
    def running(self) -> bool: ...
    @property
    def daemon(self) -> Daemon: ...
    def kill(self) -> None: ...
    def restart(self) -> None: ...
    def close(self) -> None: ...
    def diagnosis(self) -> str: ...
    def set(self, table: str, key: str, value: Value) -> None: ...
    def set_str(self, table: str, key: str, value: str, ttl: int | None = None) -> None: ...
    def set_int(self, table: str, key: str, value: int) -> None: ...
    def expire(self, table: str, key: str, ttl: int) -> None: ...
    def delete(self, table: str, key: str) -> None: ...
    def incr(self, table: str, key: str) -> int: ...
    def decr(self, table: str, key: str) -> int: ...
    def remove_name_regex(self, table: str, pattern: str) -> None: ...
    def remove_name_prefix(self, table: str, prefix: str) -> None: ...
    def remove_value_regex(self, table: str, pattern: str) -> None: ...
    def remove_value_prefix(self, table: str, prefix: str) -> None: ...
    def get(self, table: str, key: str) -> Value | None: ...
    def ttl(self, table: str, key: str) -> int | None: ...
    def dump(self, table: str) -> dict[str, Value]: ...
    def count(self, table: str) -> int: ...
    def missing(self, count: int, table: str = "users", prefix: str = "k") -> int: ...
    def nodes(self) -> dict[str, str]: ...
    def wait_nodes(self, uris: Sequence[str], timeout: float) -> None: ...
    def wait_count(self, table: str, count: int, timeout: float) -> None: ...


class Cluster:
    """Nodes on `net` + 11, 12, ... in the order of `names` (each file of tests has its own `net`).

    `seeding` "all": each node is told of all others; "first": each is told of the first only, as an
    operator does who adds nodes one by one. A `network` puts each node into the namespace of its name.
    `lineup` names the releases of the Kamailio nodes, and the nodes themselves if `names` does not.
    `dmqcache_tables`: how dmqcache nodes declare the tables, if otherwise. `kamailio_cfg`: more parameters.
    """

    def __init__(
        self,
        net: str,
        names: Sequence[str] | None = None,
        *,
        lineup: str = ONE,
        seeding: Seeding = "all",
        transport: str = "udp",
        tables: Sequence[str] = TABLES,
        shm_mb: int = 512,
        network: Network | None = None,
        dmqcache_options: Sequence[str] = (),
        dmqcache_tables: Sequence[str] = (),
        kamailio_cfg: str = "",
    ) -> None:
        self.lineup = LINEUPS[lineup]
        names = self.names = list(names or self.lineup.names)
        suffix = "" if transport == "udp" else f";transport={transport}"
        hosts = {
            name: network.address(name) if network else f"{net}{number}"
            for number, name in enumerate(names, start=11)
        }
        uris = {name: f"sip:{host}:5060{suffix}" for name, host in hosts.items()}
        self._nodes: dict[str, Kamailio | DmqcacheNode] = {}
        for name in names:
            told = names if seeding == "all" else names[:1]
            common: dict[str, Any] = {
                "tables": tables,
                "seeds": [uris[other] for other in told if other != name],
                "transport": transport,
                "namespace": network.namespace(name) if network else None,
            }
            if name.startswith("k"):
                self._nodes[name] = Kamailio(
                    hosts[name],
                    release=self.lineup.release(name),
                    shm_mb=shm_mb,
                    extra_cfg=kamailio_cfg,
                    told_of_unanswered=any(r.unanswered_seed == "active" for r in self.lineup.releases),
                    **common,
                )
            else:
                common["tables"] = dmqcache_tables or tables
                self._nodes[name] = DmqcacheNode(hosts[name], extra=dmqcache_options, **common)

    # ---- who ----

    def __getitem__(self, name: str) -> Node:
        return self._nodes[name]

    def kamailio(self, name: str) -> Kamailio:
        """A node that is known to be a Kamailio."""
        node = self._nodes[name]
        assert isinstance(node, Kamailio)
        return node

    def dmqcache(self, name: str) -> DmqcacheNode:
        """A node that is known to be a dmqcache."""
        node = self._nodes[name]
        assert isinstance(node, DmqcacheNode)
        return node

    @property
    def running(self) -> dict[str, Node]:
        """The nodes whose process runs, by name."""
        return {name: node for name, node in self._nodes.items() if node.running}

    def others(self, name: str) -> dict[str, Node]:
        """The running nodes but one."""
        return {other: node for other, node in self.running.items() if other != name}

    # ---- life ----

    def start(self, *names: str) -> "Cluster":
        """Start these nodes (default: all) one after the other, each answering before the next starts."""
        for name in names or self.names:
            self._nodes[name].start()
        return self

    def join(self, *names: str, timeout: float = JOIN_TIMEOUT_S) -> "Cluster":
        """start(), then wait until the running nodes know each other and the dmqcache nodes are ready."""
        self.start(*names)
        self.wait_joined(timeout)
        return self

    def wait_known(self, timeout: float = JOIN_TIMEOUT_S) -> None:
        """Wait until each running node holds exactly the running nodes active."""
        uris = [node.uri for node in self.running.values()]
        for node in self.running.values():
            node.wait_nodes(uris, timeout)

    def wait_joined(self, timeout: float = JOIN_TIMEOUT_S) -> None:
        """wait_known(), and each dmqcache node is ready."""
        self.wait_known(timeout)
        for node in self.running.values():
            if isinstance(node, DmqcacheNode):
                node.wait_ready(timeout)

    def close(self) -> None:
        for node in self._nodes.values():
            node.close()

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    # ---- questions to all ----

    def wait_all(
        self,
        question: Callable[[Node], object],
        expected: object,
        timeout: float = SEEN_TIMEOUT_S,
        names: Iterable[str] | None = None,
    ) -> None:
        """Wait until `question` has the answer `expected` on each running node (or those of `names`)."""
        asked = self.running if names is None else {name: self[name] for name in names}
        wait_until(
            lambda: all(question(node) == expected for node in asked.values()),
            timeout,
            lambda: f"{_short(expected)} everywhere; " + self._answers(question, asked),
        )

    def see_written(self, writer: str) -> list[str]:
        """Have one node write a text, a number, a long value and a time to live; wait until each running node
        has them; their keys in `users`."""
        cells: dict[str, Value] = {
            f"{writer} string": "Grüße \udcff",
            f"{writer} number": 17,
            f"{writer} long": "y" * 30_000,
        }
        for key, value in cells.items():
            self[writer].set("users", key, value)
            self.wait_value("users", key, value)
        self[writer].expire("users", f"{writer} number", 300)
        self.wait_all(lambda node: 290 <= (node.ttl("users", f"{writer} number") or 0) <= 300, True)
        return list(cells)

    def wait_value(self, table: str, key: str, value: Value | None, timeout: float = SEEN_TIMEOUT_S) -> None:
        """Wait until each running node has `value` (None: nothing) for a key, of the right type."""
        self.wait_all(lambda node: _typed(node.get(table, key)), _typed(value), timeout)

    def wait_equal(
        self, table: str, timeout: float, names: Iterable[str] | None = None, *, but: str = ""
    ) -> dict[str, Value]:
        """Wait until these nodes (default: all running) hold the same cells, whatever the key ``but`` holds;
        the table of one."""
        asked = self.running if names is None else {name: self[name] for name in names}

        def differences() -> dict[str, list[str]]:
            dumps = {name: node.dump(table) for name, node in asked.items()}
            keys = {key for dump in dumps.values() for key in dump} - {but}
            found = {}
            for key in sorted(keys):
                values = [_typed(dump.get(key)) for dump in dumps.values()]
                if len(set(values)) > 1:
                    found[key] = [f"{n}={_short(d.get(key))}" for n, d in dumps.items()]
            return found

        wait_until(
            lambda: not differences(),
            timeout,
            lambda: (
                f"{table} equal on {list(asked)}; differs: {_short(differences(), 2000)}\n{self.diagnosis()}"
            ),
            poll=0.1,
        )
        return next(iter(asked.values())).dump(table)

    def diagnosis(self) -> str:
        """The logs' ends of all nodes."""
        return "\n".join(node.diagnosis() for node in self.running.values())

    def _answers(self, question: Callable[[Node], object], asked: dict[str, Node]) -> str:
        answers = []
        for name, node in asked.items():
            try:
                answers.append(f"{name}={_short(question(node))}")
            except OSError as error:
                answers.append(f"{name}={error}")
        return ", ".join(answers) + f"\n{self.diagnosis()}"


def _typed(value: Value | None) -> tuple[str, Value | None]:
    """A value that is unequal to the same digits of the other type."""
    return type(value).__name__, value


def _short(value: object, length: int = 120) -> str:
    text = repr(value)
    return text if len(text) <= length else f"{text[:length]}... ({len(text)} characters)"
