"""The Redis protocol's server: connections, their order, their limits. What commands do:
``command_table.py``.

All commands that one read brings are run at once and answered with one write: a pipeline costs two system
calls, however long it is. A connection is read on only while its client takes the replies and the node keeps
up with telling other nodes, so nothing is queued without bound. WAIT holds back the commands behind it on
its connection, and nobody else's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import socket
import time
from collections.abc import Coroutine
from typing import Any, Final, cast

from dmqcache.server.resp.command_table import execute
from dmqcache.server.resp.cursors import Cursors
from dmqcache.server.resp.parse import RequestParser
from dmqcache.server.resp.reply import error
from dmqcache.server.resp.session import RespCounters, ServedNode, Session, Shared

log = logging.getLogger("dmqcache.server.resp.connection")

#: Clients at once (Redis' default).
MAX_CLIENTS: Final = 10_000
#: Connections that may wait to be accepted (Redis' tcp-backlog).
BACKLOG: Final = 511
#: The longest argument unless the tables take longer values: enough to be told so instead of cut off.
MAX_ARGUMENT_BYTES: Final = 16 << 20
#: Bytes of one unfinished command.
MAX_REQUEST_BYTES: Final = 128 << 20
#: Replies that the system has not taken yet, above which a client's commands wait, and below which they
#: go on.
OUTPUT_HIGH_BYTES: Final = 1 << 20
OUTPUT_LOW_BYTES: Final = 256 << 10
#: Commands between two looks at whether the client and the node keep up: a few hundred microseconds.
SLICE_COMMANDS: Final = 256
#: A reply after which that is looked at at once.
LARGE_REPLY_BYTES: Final = 32 << 10
#: Commands that may stand behind a WAIT before their client is read no further.
MAX_QUEUED_COMMANDS: Final = 10_000
#: Seconds between two looks whether the node still has too much to tell others.
CONGESTION_PAUSE_S: Final = 0.001


class RespServer:
    """Serves the tables of one node to Redis clients. ``port`` 0 lets the system choose."""

    def __init__(
        self,
        node: ServedNode,
        host: str,
        port: int,
        *,
        max_clients: int = MAX_CLIENTS,
        max_value_bytes: int = 0,
    ) -> None:
        self._host, self._port = host, port
        self.max_clients = max_clients
        self.max_argument = max(MAX_ARGUMENT_BYTES, 2 * max_value_bytes)
        cursors = Cursors(random.randrange(1, 1 << 31))
        self.shared = Shared(node, time.time, time.monotonic, cursors, execute, started=time.monotonic())
        self._connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None

    @property
    def counters(self) -> RespCounters:
        """Plain numbers, for the metrics."""
        return self.shared.counters

    @property
    def clients(self) -> int:
        """Connections now."""
        return len(self._connections)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return self._host, self.shared.port

    async def start(self) -> None:
        """Listen. OSError where the address cannot be had."""
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                lambda: _Connection(self, loop), self._host, self._port, backlog=BACKLOG
            )
        except OSError as problem:
            # The loop's own text repeats the address; the system's says enough.
            reason = os.strerror(problem.errno) if problem.errno and problem.errno > 0 else str(problem)
            raise OSError(problem.errno, reason) from None
        self.shared.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and close every connection once its replies are out."""
        if self._server is None:
            return
        self._server.close()
        for connection in list(self._connections):
            connection.close()
        self._server = None
        await asyncio.sleep(0)

    def admit(self, connection: _Connection) -> bool:
        """Whether there is room for one more."""
        self.counters.connections += 1
        if len(self._connections) >= self.max_clients:
            self.counters.refused["max_clients"] += 1
            return False
        self._connections.add(connection)
        return True

    def forget(self, connection: _Connection) -> None:
        """The connection is gone."""
        self._connections.discard(connection)


class _Connection(asyncio.Protocol):
    """One client. ``_commands[_next:]`` is what it asked for and was not done yet."""

    __slots__ = (
        "_commands",
        "_congested",
        "_loop",
        "_next",
        "_parser",
        "_paused",
        "_server",
        "_session",
        "_transport",
        "_unread",
        "_waiting",
    )

    def __init__(self, server: RespServer, loop: asyncio.AbstractEventLoop) -> None:
        self._server = server
        self._loop = loop
        self._parser = RequestParser(server.max_argument)
        self._commands: list[list[str]] = []
        self._next = 0
        #: The WAIT under way.
        self._waiting: asyncio.Task[None] | None = None
        #: The client does not take its replies.
        self._unread = False
        #: The node has too much to tell others.
        self._congested = False
        #: We do not read from the client.
        self._paused = False

    # -- asyncio ----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        address = self._transport.get_extra_info("peername")
        self._session = Session(self._server.shared, f"{address[0]}:{address[1]}" if address else "?")
        if not self._server.admit(self):
            self._transport.write(error("ERR max number of clients reached"))
            self._transport.close()
            return
        self._server.shared.sessions[self._session.id] = self._session
        self._transport.set_write_buffer_limits(OUTPUT_HIGH_BYTES, OUTPUT_LOW_BYTES)
        # A client whose machine vanished must not keep its place for ever.
        if (sock := self._transport.get_extra_info("socket")) is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def connection_lost(self, exc: Exception | None) -> None:
        self._session.closing = True
        self._commands = []
        if self._waiting is not None:
            self._waiting.cancel()
        self._server.shared.sessions.pop(self._session.id, None)
        self._server.forget(self)

    def data_received(self, data: bytes) -> None:
        if self._session.closing or self._parser.failed:
            return
        self._server.counters.bytes_in += len(data)
        commands = self._parser.feed(data)
        if self._next < len(self._commands):
            self._commands += commands
        else:
            self._commands, self._next = commands, 0
        self._work()
        if self._parser.pending > MAX_REQUEST_BYTES:
            self._refuse("request_too_large", "ERR Protocol error: too big request")

    def pause_writing(self) -> None:
        self._unread = True

    def resume_writing(self) -> None:
        self._unread = False
        self._work()

    # -- commands ---------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close once what was written is out."""
        self._session.closing = True
        self._transport.close()

    def _held(self) -> bool:
        return self._unread or self._congested or self._waiting is not None

    def _work(self) -> None:
        """Run what is to be run, as far as client and node keep up; then see whether to read on."""
        while self._next < len(self._commands) and not self._held() and not self._session.closing:
            self._run_slice()
        if self._session.closing:
            self._transport.close()
        elif self._next >= len(self._commands) and self._parser.failed and self._waiting is None:
            self._refuse("protocol_error", f"ERR Protocol error: {self._parser.failed}")
        else:
            self._read_or_pause()

    def _run_slice(self) -> None:
        session, commands = self._session, self._commands
        start = self._next
        replies: list[bytes] = []
        for position in range(start, min(start + SLICE_COMMANDS, len(commands))):
            reply = execute(session, commands[position])
            self._next = position + 1
            if not isinstance(reply, bytes):
                self._wait_for(reply)
                break
            replies.append(reply)
            if session.closing or len(reply) > LARGE_REPLY_BYTES:
                break
        self._server.counters.commands += self._next - start
        if self._next >= len(commands):
            self._commands, self._next = [], 0
        self._write(b"".join(replies))
        if self._server.shared.node.congested():
            self._congested = True
            self._loop.call_later(CONGESTION_PAUSE_S, self._try_again)

    def _write(self, data: bytes) -> None:
        if data:
            self._server.counters.bytes_out += len(data)
            self._transport.write(data)

    def _try_again(self) -> None:
        if self._server.shared.node.congested():
            self._loop.call_later(CONGESTION_PAUSE_S, self._try_again)
            return
        self._congested = False
        if not self._transport.is_closing():
            self._work()

    def _read_or_pause(self) -> None:
        queued = len(self._commands) - self._next
        pause = self._unread or self._congested or queued > MAX_QUEUED_COMMANDS
        if pause != self._paused and not self._transport.is_closing():
            self._paused = pause
            if pause:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def _wait_for(self, reply: Coroutine[Any, Any, bytes]) -> None:
        self._waiting = self._loop.create_task(self._finish(reply))

    async def _finish(self, reply: Coroutine[Any, Any, bytes]) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            try:
                data = await reply
            except Exception:
                log.exception("waiting for other nodes failed")
                data = error("ERR internal error, see the node's log")
            self._waiting = None
            self._write(data)
            self._work()

    def _refuse(self, reason: str, text: str) -> None:
        self._server.counters.refused[reason] += 1
        self._write(error(text))
        self.close()
