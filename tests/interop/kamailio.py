"""A real Kamailio on an address of its own, as a test sees it: start, ask, change, kill.

The configuration is made by kamailio_cfg.py. Two ways in, both HTTP on the TCP listener of the SIP
address: `rpc` (jsonrpcs, for what only it can tell: dumps, nodes, statistics) and the script route `/op`,
whose arguments travel as hexadecimal so that keys and values may hold any byte but NUL.

Strings follow the project's rule: `str` with arbitrary bytes by surrogateescape; values are `str | int`.
"""

import contextlib
import http.client
import itertools
import json
import socket
from collections.abc import Sequence
from typing import Any, Self

from tests.interop.daemon import Daemon, NotReady, require_programs, wait_until
from tests.interop.kamailio_cfg import PIECE_BYTES, configuration, table_names
from tests.interop.life import NodeProcess
from tests.interop.releases import DEFAULT, Release, find

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 15.0
WALKS = 12
USERS = "users=>size=12;autoexpire=3600;dmqreplicate=1;"

Value = str | int


def to_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def to_text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


class RPCError(Exception):
    """Kamailio answered a JSON-RPC call with an error."""


class Kamailio(NodeProcess):
    """One Kamailio process (a main process with its children).

    `tables` are htable declarations, `seeds` notification addresses (`sip:HOST:PORT[;transport=tcp]`).
    A test gives each Kamailio its own loopback address 127.0.0.x and the same port. `told_of_unanswered`:
    it is beside a Kamailio that tells others of seeds which have not answered. `name`: what it calls
    itself, if not `host`; it must resolve. `registrar`: it takes REGISTERs, and shares
    the contacts over DMQ. `route`: its script has the line for KDMQ. `channel`: its script takes part in it.
    `requests`: lines of its script for further requests. `workers`: processes that read datagrams, and
    as many that work on messages of the bus; of more than one, what is said later may be taken sooner.
    """

    def __init__(
        self,
        host: str,
        port: int = 5060,
        *,
        release: Release = DEFAULT,
        tables: Sequence[str] = (USERS,),
        seeds: Sequence[str] = (),
        transport: str = "udp",
        shm_mb: int = 512,
        pkg_mb: int = 64,
        namespace: str | None = None,
        workers: int = 2,
        ping_interval: int = 60,
        init_sync: bool = True,
        extra_cfg: str = "",
        told_of_unanswered: bool = False,
        name: str = "",
        registrar: bool = False,
        route: bool = True,
        tls_port: int = 5061,
        channel: str = "",
        requests: str = "",
    ) -> None:
        super().__init__("kamailio", host)
        self.release = release
        self.name = name or host
        self.port = port
        self.transport = transport
        # RPC needs a plain port, so TLS has one of its own.
        suffix = "" if transport == "udp" else f";transport={transport}"
        self.uri = f"sip:{self.name}:{tls_port if transport == 'tls' else port}{suffix}"
        self.namespace = namespace
        self.tables = table_names(tables)
        # A release that calls a seed active before it has answered tells others so, and they believe it.
        told_of_unanswered = told_of_unanswered or release.unanswered_seed == "active"
        self._may_be_active = frozenset(seeds) if told_of_unanswered else frozenset()
        self._memory = ("-m", str(shm_mb), "-M", str(pkg_mb))
        self._log = self._directory / "kamailio.log"
        self._ids = itertools.count(1)
        self._program = find(release)
        self.title = f"kamailio {self._program.version} {host}"
        self._config = self._directory / "kamailio.cfg"
        self._config.write_text(
            configuration(
                modules=self._program.modules,
                uri=self.uri,
                host=host,
                name=self.name,
                port=port,
                tables=tables,
                seeds=seeds,
                workers=workers,
                ping_interval=ping_interval,
                init_sync=init_sync,
                registrar=registrar,
                route=route,
                extra=extra_cfg,
                channel=channel,
                requests=requests,
            )
        )

    # ---- life ----

    def start(self, timeout: float = START_TIMEOUT_S) -> Self:
        """Start the process and wait until its RPC answers."""
        require_programs(*(["ip"] if self.namespace else []))
        command = [*self._program.command, "-f", str(self._config), "-DD", "-E", *self._memory]
        command += ["-P", str(self._directory / "pid"), "-Y", str(self._directory)]
        self._daemon = Daemon(self.title, command, self._log, namespace=self.namespace)
        self._daemon.wait_ready(lambda: self.rpc("core.version", timeout=2.0), timeout)
        return self

    def stop(self) -> None:
        """SIGTERM: Kamailio runs its shutdown, and tells its neighbours nothing."""
        self.daemon.terminate(STOP_TIMEOUT_S)

    # ---- the two ways in ----

    def _post(self, path: str, body: bytes, timeout: float) -> bytes:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        with contextlib.closing(connection):
            connection.request("POST", path, body, {"Content-Type": "application/octet-stream"})
            try:
                return connection.getresponse().read()
            except http.client.HTTPException as error:
                raise OSError(f"{type(error).__name__}: {error}") from error

    def rpc(self, method: str, *params: object, timeout: float = 10.0) -> Any:
        """One JSON-RPC call; its result. RPCError for an error answer, OSError if Kamailio is away."""
        call = {"jsonrpc": "2.0", "method": method, "params": list(params), "id": next(self._ids)}
        body = to_bytes(json.dumps(call, ensure_ascii=False))
        answer = json.loads(to_text(self._post("/rpc", body, timeout)), strict=False)
        if "error" in answer:
            raise RPCError(f"{method}: {answer['error'].get('message')}")
        return answer["result"]

    def _op(self, op: str, *args: Value, timeout: float = 10.0) -> bytes:
        """Run an operation of the script; integers go as they are, strings as hexadecimal."""
        words = [str(arg) if isinstance(arg, int) else to_bytes(arg).hex() for arg in args]
        answer = self._post(f"/op/{op}", "/".join(words).encode(), timeout)
        if not answer.startswith(b"ok"):
            raise RPCError(f"{op} {args}: {to_text(answer)!r}")
        return answer[2:].strip()

    # ---- tables, written by the script as an operator's routes write them ----

    def set_str(self, table: str, key: str, value: str, ttl: int | None = None) -> None:
        """`$sht(table=>key) = value`, then, with `ttl` (seconds), `$shtex(table=>key) = ttl`."""
        data = to_bytes(value)
        if len(data) <= PIECE_BYTES and ttl is not None:
            self._op("setsex", self._index(table), key, ttl, value)
            return
        if len(data) <= PIECE_BYTES:
            self._op("sets", self._index(table), key, value)
        else:
            for start in range(0, len(data), PIECE_BYTES):
                self._op("keep", start, "", to_text(data[start : start + PIECE_BYTES]))
            self._op("setkept", self._index(table), key)
        if ttl is not None:
            self.expire(table, key, ttl)

    def set_again(self, table: str, key: str, value: str) -> None:
        """Another value, and at once this one."""
        self._op("setsagain", self._index(table), key, value)

    def set_and_delete(self, table: str, key: str, value: str) -> None:
        """A value, and at once none."""
        self._op("setsgone", self._index(table), key, value)

    def set_int(self, table: str, key: str, value: int) -> None:
        """`$sht(table=>key) = value` as an integer (a C int in 5.6)."""
        self._op("seti", self._index(table), key, value)

    def set(self, table: str, key: str, value: Value) -> None:
        if isinstance(value, int):
            self.set_int(table, key, value)
        else:
            self.set_str(table, key, value)

    def expire(self, table: str, key: str, ttl: int) -> None:
        """`$shtex(table=>key) = ttl`, in seconds; has an effect only in a table with autoexpire."""
        self._op("expire", self._index(table), key, ttl)

    def delete(self, table: str, key: str) -> None:
        """`$sht(table=>key) = $null`."""
        self._op("delete", self._index(table), key)

    def incr(self, table: str, key: str) -> int:
        """`$shtinc(table=>key)`: the new number."""
        return int(self._op("incr", self._index(table), key))

    def decr(self, table: str, key: str) -> int:
        """`$shtdec(table=>key)`: the new number."""
        return int(self._op("decr", self._index(table), key))

    def remove_name_regex(self, table: str, pattern: str) -> None:
        """`sht_rm_name(table, "re", pattern)`: POSIX extended, case-insensitive."""
        self._op("rmnre", self._index(table), pattern)

    def remove_name_prefix(self, table: str, prefix: str) -> None:
        """`sht_rm_name(table, "sw", prefix)`."""
        self._op("rmnsw", self._index(table), prefix)

    def remove_value_regex(self, table: str, pattern: str) -> None:
        """`sht_rm_value(table, "re", pattern)`: string values only."""
        self._op("rmvre", self._index(table), pattern)

    def remove_value_prefix(self, table: str, prefix: str) -> None:
        """`sht_rm_value(table, "sw", prefix)`: string values only."""
        self._op("rmvsw", self._index(table), prefix)

    # ---- what it removes without telling anybody, or without saying what ----

    def flush(self, table: str) -> None:
        """`htable.flush`, as an operator does."""
        self.rpc("htable.flush", table)

    def reload(self, table: str) -> None:
        """`htable.reload`: what is there goes, the rows of its `dbtable` come."""
        self.rpc("htable.reload", table)

    def reset(self, table: str) -> None:
        """`sht_reset(table)`."""
        self._op("reset", self._index(table), "")

    def remove_by_iterator(self, table: str) -> None:
        """`sht_iterator_rm()` of each cell. A walk of 5.6 passes over the cell after each that it removes, so
        it walks until none is left."""
        for _ in range(WALKS):
            self._op("iterrm", self._index(table), "")
            if not self.count(table):
                return

    def remove_name_end(self, table: str, end: str) -> None:
        """`sht_rm_name(table, "ew", end)`; of releases with `removes_by_end`."""
        self._op("rmnew", self._index(table), end)

    def remove_name_containing(self, table: str, text: str) -> None:
        """`sht_rm_name(table, "in", text)`; of releases with `removes_by_part`."""
        self._op("rmnin", self._index(table), text)

    def fast_sets(self, count: int, table: str = "users", prefix: str = "k", timeout: float = 120.0) -> None:
        """Replicated sets of prefix0 .. prefix(count-1) to v0 .. in one tight script loop."""
        self._op("fast", self._index(table), prefix, count, timeout=timeout)

    # ---- contacts, of a registrar ----

    def register(self, user: str, expires: int = 3600, cseq: int = 1) -> None:
        """A REGISTER of one contact from a phone on this node's host; returns when it is answered 200.
        ``expires`` 0 takes it back."""
        self._ask_as_phone("REGISTER", user, f"sip:{self.host}", "", expires, cseq)

    def publish(self, user: str, note: str) -> None:
        """A PUBLISH of a user's presence, with a note in its document; returns when it is answered 200."""
        entity = f"sip:{user}@{self.host}"
        document = (
            f'<?xml version="1.0"?><presence xmlns="urn:ietf:params:xml:ns:pidf" entity="{entity}">'
            f'<tuple id="t"><status><basic>open</basic></status><note>{note}</note></tuple></presence>'
        )
        self._ask_as_phone("PUBLISH", user, entity, document)

    def _ask_as_phone(
        self, method: str, user: str, uri: str, document: str, expires: int = 3600, cseq: int = 1
    ) -> None:
        kind = "Event: presence\r\nContent-Type: application/pidf+xml\r\n" if document else ""
        request = (
            f"{method} {uri} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {self.host};rport;branch=z9hG4bK{method}{user}{next(self._ids)}\r\n"
            f"From: <sip:{user}@{self.host}>;tag={user}\r\nTo: <sip:{user}@{self.host}>\r\n"
            f"Call-ID: {user}@phone\r\nCSeq: {cseq} {method}\r\nMax-Forwards: 70\r\n"
            f"Contact: <sip:{user}@192.0.2.7:5070>\r\nExpires: {expires}\r\n"
            f"{kind}Content-Length: {len(document)}\r\n\r\n{document}"
        )
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
            phone.settimeout(5.0)
            phone.sendto(request.encode(), (self.host, self.port))
            answer = phone.recv(65_535)
        if not answer.startswith(b"SIP/2.0 200 "):
            raise RPCError(f"{method} of {user}: {answer[:80]!r}")

    def has_contact(self, user: str) -> bool:
        """Whether somebody is registered under this name."""
        try:
            self.rpc("ul.lookup", "location", user)
        except RPCError:
            return False
        return True

    # ---- reading ----

    def get(self, table: str, key: str) -> Value | None:
        """The value, or None if the key is not there."""
        kind, _, data = self._op("get", self._index(table), key).partition(b" ")
        if kind == b"null":
            return None
        if kind == b"int":
            return int(data)
        said, _, digits = data.partition(b" ")
        if not said:
            return None  # It was deleted while the script looked.
        length = int(said)
        # Of an empty text the script can take no part.
        value = bytes.fromhex(digits.decode())[:length]
        while len(value) < length:
            part = bytes.fromhex(self._op("getpart", self._index(table), key, len(value)).decode())
            if not part:
                return self.get(table, key)  # It was replaced by a shorter one meanwhile.
            value += part
        return to_text(value)

    def ttl(self, table: str, key: str) -> int | None:
        """Seconds left by `$shtex`, or None if the key is not there or never expires (Kamailio says 0)."""
        return int(self._op("ttl", self._index(table), key) or 0) or None

    def dump(self, table: str, timeout: float = 30.0) -> dict[str, Value]:
        """The whole table by `htable.dump`. For up to some 100,000 cells; see `count`."""
        slots = self.rpc("htable.dump", table, timeout=timeout)
        cells = (cell for entry in slots for cell in entry["slot"])
        return {cell["name"]: cell["value"] for cell in cells}

    def count(self, table: str, timeout: float = 10.0) -> int:
        """Number of cells by `htable.stats` (expired ones not yet swept included)."""
        rows = {row["name"]: row["all"] for row in self.rpc("htable.stats", timeout=timeout)}
        return int(rows[table])

    def missing(self, count: int, table: str = "users", prefix: str = "k", timeout: float = 60.0) -> int:
        """How many of the keys prefix0 .. prefix(count-1) are not there, looked up one by one.

        More exact than `count`: cells that arrive twice at the same time can be counted twice by Kamailio.
        """
        return int(self._op("missing", self._index(table), prefix, count, timeout=timeout))

    def nodes(self) -> dict[str, str]:
        """Every node of the bus that this one knows, itself included: its URI and its status."""
        return {_uri_of(row): row["status"] for row in self.rpc("dmq.list_nodes")}

    def wait_nodes(self, uris: Sequence[str], timeout: float) -> None:
        """Wait until exactly `uris` (itself included) are active; other known nodes are not.

        Seeds that have not answered are not counted against it, where its release calls those active.
        """
        self._wait_active(uris, timeout, self._may_be_active - set(uris), self._nodes_or_trouble)

    def wait_count(self, table: str, count: int, timeout: float) -> None:
        """Wait until the table holds exactly `count` cells."""
        wait_until(
            lambda: self.count(table) == count,
            timeout,
            lambda: f"{count} cells in {table} of {self.uri}; it has {self.count(table)}",
            poll=0.05,
        )

    def _nodes_or_trouble(self) -> object:
        try:
            return self.nodes()
        except (OSError, RPCError, NotReady) as error:
            return error

    def _index(self, table: str) -> int:
        return self.tables.index(table)


def _uri_of(row: dict[str, Any]) -> str:
    transport = row["proto"]
    suffix = "" if transport in ("*", "udp") else f";transport={transport}"
    return f"sip:{row['host']}:{row['port']}{suffix}"
