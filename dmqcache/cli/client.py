"""A small blocking client of one node, for the command line. Programs better take a Redis client library.

Strings hold any bytes by ``surrogateescape``. Imports as little as it can: it is most of what
``dmqcache get`` loads.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import hiredis

from dmqcache.config.addresses import HostPort, parse_host_port
from dmqcache.defaults import CLIENT_PORT

if TYPE_CHECKING:
    import ssl

#: Where a node listens for clients unless told otherwise.
DEFAULT_ADDRESS = f"127.0.0.1:{CLIENT_PORT}"
#: Seconds to wait for a connection, and for each answer.
TIMEOUT_S = 10.0
#: Cells asked for at once: about a hundred kilobytes of small ones.
SCAN_CELLS = 1000
READ_BYTES = 64 * 1024
TLS_PREFIX = "rediss://"
#: What name the files of TLS: the CA's, and the client's own certificate and key.
TLS_VARIABLES = ("DMQCACHE_TLS_CA", "DMQCACHE_TLS_CERTIFICATE", "DMQCACHE_TLS_KEY")
PASSWORD_HINT = "Name a file with the password: DMQCACHE_CLIENT_PASSWORD_FILE"


class NodeUnreachable(Exception):
    """Nobody answers at the address. One line, fit to be shown."""


class CommandFailed(Exception):
    """The node refused. The node's own words."""


class Login(NamedTuple):
    """Who the client is; without a name, the default user."""

    name: str
    password: str

    def __repr__(self) -> str:
        return f"Login({self.name!r}, ...)"


class Cell(NamedTuple):
    """One key of a table."""

    key: str
    value: str | int
    #: Seconds left, None: never expires.
    ttl: float | None


class Client:
    """One connection. A context manager. Raises :class:`NodeUnreachable` and :class:`CommandFailed`."""

    def __init__(
        self, address: str = DEFAULT_ADDRESS, timeout: float = TIMEOUT_S, login: Login | None = None
    ) -> None:
        """``address``: ``HOST:PORT``, a host alone, ``rediss://HOST:PORT`` over TLS, or the path of a unix
        socket. Over TLS the node's certificate must be for that host and signed by one of ``DMQCACHE_TLS_CA``
        (or of the system's); ``DMQCACHE_TLS_CERTIFICATE`` and ``DMQCACHE_TLS_KEY`` are shown if it asks."""
        _check_scheme(address)
        bare = address.strip().removeprefix(TLS_PREFIX)
        over_tls = bare != address.strip()
        self.address: HostPort | str = bare if "/" in bare else _parsed(bare)
        self._timeout = timeout
        self._reader = hiredis.Reader(encoding="utf-8", errors="surrogateescape", notEnoughData=self)
        context = _tls_context() if over_tls else None
        try:
            self._socket = _connected(self.address, timeout)
            if context is not None:
                self._socket = _over_tls(context, self._socket, bare)
        except OSError as error:
            raise NodeUnreachable(
                f"no node answers at {self.address}: {_reason(error)}; start one with 'dmqcache serve', "
                "or choose another with --node or DMQCACHE_NODE"
            ) from None
        if login is not None:
            self._log_in(login)

    def _log_in(self, login: Login) -> None:
        try:
            self.call("AUTH", *filter(None, login))
        except CommandFailed as refusal:
            # Somebody whose shell has a password may well ask a node without one.
            if "without any password configured" not in str(refusal):
                self.close()
                raise

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection back."""
        self._socket.close()

    def call(self, *args: str | int, timeout: float | None = None) -> Any:
        """Send one command and return its reply."""
        self._socket.settimeout(self._timeout if timeout is None else timeout)
        try:
            self._socket.sendall(_packed(args))
            reply = self._read()
        except OSError as error:
            raise NodeUnreachable(f"the node at {self.address} stopped answering: {_reason(error)}") from None
        except hiredis.ProtocolError:
            raise NodeUnreachable(f"what answers at {self.address} is no dmqcache node") from None
        if isinstance(reply, hiredis.ReplyError):
            text = str(reply).removeprefix("ERR ")
            raise CommandFailed(f"{text} {PASSWORD_HINT}" if text.startswith("NOAUTH") else text)
        return reply

    def pipeline(self, commands: Sequence[Sequence[str | int]]) -> list[Any]:
        """Send many commands at once and return their replies; what the node refused is a CommandFailed."""
        self._socket.settimeout(self._timeout)
        try:
            self._socket.sendall(b"".join(map(_packed, commands)))
            replies = [self._read() for _ in commands]
        except OSError as error:
            raise NodeUnreachable(f"the node at {self.address} stopped answering: {_reason(error)}") from None
        return [
            CommandFailed(str(reply).removeprefix("ERR ")) if isinstance(reply, hiredis.ReplyError) else reply
            for reply in replies
        ]

    def listen(self, *words: str) -> None:
        """Go over to messages: what is told from now on, :meth:`heard` gives."""
        self.call("HELLO", "3")
        self.call(*words)
        self._socket.settimeout(None)

    def heard(self, kind: str) -> list[Any]:
        """The next message of a kind, however long that takes."""
        try:
            while not isinstance(message := self._read(), list) or message[0] != kind:
                pass
        except OSError as error:
            raise NodeUnreachable(f"the node at {self.address} is gone: {_reason(error)}") from None
        return message

    def _read(self) -> Any:
        while (reply := self._reader.gets()) is self:
            data = self._socket.recv(READ_BYTES)
            if not data:
                raise ConnectionResetError("it closed the connection")
            self._reader.feed(data)
        return reply

    # -- tables -----------------------------------------------------------------------------------------

    def select(self, table: str) -> None:
        """Choose the table that all further calls mean. CommandFailed if the node has no such table."""
        self.call("SELECT", table)

    def get(self, key: str) -> Cell | None:
        """A key's cell, or None."""
        reply = self.call("DMQ.CELL", key)
        return None if reply is None else Cell(key, reply[0], _seconds(reply[1]))

    def set(self, key: str, value: str, ttl: float | None = None, integer: bool = False) -> None:
        """Write a value; ``ttl`` in seconds, 0: for ever, None: what the table says."""
        words: list[str | int] = ["SET", key, value]
        if integer:
            words.append("INT")
        if ttl:
            words += ["PX", max(1, round(ttl * 1000))]
        self.call(*words)
        if ttl == 0:
            self.call("PERSIST", key)

    def delete(self, keys: Sequence[str]) -> int:
        """Delete keys; returns how many there were."""
        return int(self.call("DEL", *keys))

    def incr(self, key: str, by: int = 1) -> int:
        """Add to a number and return the sum."""
        return int(self.call("INCRBY", key, by))

    def cells(self, prefix: str = "", after: str | None = None) -> Iterator[Cell]:
        """All cells whose keys start with ``prefix`` and come after ``after``, in the keys' order, asked for
        as they are taken."""
        cursor = "0"
        begin = [] if after is None else ["AFTER", after]
        while True:
            cursor, flat = self.call("DMQ.SCAN", cursor, "PREFIX", prefix, "COUNT", SCAN_CELLS, *begin)
            begin = []
            for position in range(0, len(flat), 3):
                yield Cell(flat[position], flat[position + 1], _seconds(flat[position + 2]))
            if cursor == "0":
                return

    def match(self, kind: str, on: str, pattern: str) -> list[str]:
        """Keys that match. ``kind``: regex, prefix, suffix or contains; ``on``: name or value."""
        return list(self.call("DMQ.MATCH", kind, on, pattern))

    def remove(self, kind: str, on: str, pattern: str) -> int:
        """Delete what :meth:`match` finds; returns how many."""
        return int(self.call("DMQ.REMOVE", kind, on, pattern))

    # -- the node ---------------------------------------------------------------------------------------

    def report(self, what: str) -> Any:
        """``tables``, ``nodes`` or ``stats``, as the node tells them."""
        import json

        return json.loads(self.call(f"DMQ.{what.upper()}"))

    def records(self, what: str, text: str) -> list[dict[str, Any]]:
        """``calls``, ``contacts`` or ``presentities`` that have ``text``, as the node tells them."""
        import json

        return [json.loads(row) for row in self.call(f"DMQ.{what.upper()}", *filter(None, [text]))]

    def wait(self, nodes: int, timeout: float) -> int:
        """Wait until ``nodes`` other nodes have this connection's writes, at most ``timeout`` seconds (0: for
        ever); returns how many have."""
        longest = timeout + TIMEOUT_S if timeout else 3.0e6
        return int(self.call("WAIT", nodes, round(timeout * 1000), timeout=longest))


def _packed(words: Sequence[str | int]) -> bytes:
    data: Any = tuple(str(one).encode("utf-8", "surrogateescape") for one in words)
    packed: bytes = hiredis.pack_command(data)
    return packed


def _connected(address: HostPort | str, timeout: float) -> socket.socket:
    if isinstance(address, str):
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(timeout)
            connection.connect(address)
        except BaseException:
            connection.close()
            raise
    else:
        connection = socket.create_connection(address, timeout)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _tls_context() -> ssl.SSLContext:
    """By the files that the environment names. NodeUnreachable names what is wrong with them."""
    import ssl  # as long as the rest of ``dmqcache get`` together

    ca, certificate, key = (os.environ.get(name) or None for name in TLS_VARIABLES)
    for name, path in zip(TLS_VARIABLES, (ca, certificate, key), strict=True):
        try:
            if path is not None:
                Path(path).read_bytes()
        except OSError as error:
            raise NodeUnreachable(f"{name} {path}: {_reason(error)}") from None
    said = f"{TLS_VARIABLES[0]} {ca}: not certificates in PEM"
    try:
        context = ssl.create_default_context(cafile=ca)
        if certificate is not None:
            said = f"{TLS_VARIABLES[1]} {certificate}: not a certificate in PEM with its key"
            said += (
                f" in {TLS_VARIABLES[2]} {key}"
                if key
                else f"; {TLS_VARIABLES[2]} names that if it is elsewhere"
            )
            context.load_cert_chain(certificate, key)
    except OSError:
        raise NodeUnreachable(said) from None
    return context


def _over_tls(context: ssl.SSLContext, connection: socket.socket, address: str) -> socket.socket:
    import ssl

    try:
        return context.wrap_socket(connection, server_hostname=_parsed(address).host)
    except ssl.SSLCertVerificationError as error:
        connection.close()
        ca = os.environ.get(TLS_VARIABLES[0])
        trusted = f"trusted is {TLS_VARIABLES[0]} {ca}" if ca else f"name its CA's file in {TLS_VARIABLES[0]}"
        raise NodeUnreachable(
            f"the certificate of the node at {address} cannot be verified: "
            f"{error.verify_message.rstrip('.')}; {trusted}"
        ) from None
    except ssl.SSLError as error:
        from dmqcache.bus.net.handshake_words import words

        connection.close()
        raise NodeUnreachable(f"no TLS with the node at {address}: {words(error)}") from None
    except BaseException:
        connection.close()
        raise


def _check_scheme(address: str) -> None:
    """Else it would be taken for a path."""
    scheme, mark, _ = address.strip().partition("://")
    if mark and "/" not in scheme and scheme + mark != TLS_PREFIX:
        raise NodeUnreachable(
            f"the node's address {address!r}: {scheme!r} is unknown; the commands know HOST:PORT, "
            f"{TLS_PREFIX}HOST:PORT over TLS, and the path of a unix socket"
        )


def _parsed(address: str) -> HostPort:
    """``HOST:PORT``, or a host alone, which listens on the default port."""
    text = address.strip()
    if text.lower().startswith(("sip:", "sips:")):
        raise NodeUnreachable(
            f"the node's address {address!r} is its address on the bus; the commands use its client address, "
            f"like {DEFAULT_ADDRESS}"
        )
    bare = (text.startswith("[") and text.endswith("]")) or (text and ":" not in text)
    if text.count(":") > 1 and "[" not in text:
        text, bare = f"[{text}]", True  # an IPv6 address alone
    try:
        return parse_host_port(f"{text}:{CLIENT_PORT}" if bare else text)
    except ValueError as error:
        raise NodeUnreachable(f"the node's address {address!r} {error}") from None


def _seconds(milliseconds: int) -> float | None:
    return None if milliseconds < 0 else milliseconds / 1000


def _reason(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return (error.strerror or str(error)).lower()
