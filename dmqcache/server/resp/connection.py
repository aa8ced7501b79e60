"""One client's connection: the order of its commands, and what may be held for it.

All commands that one read brings are run at once and answered with one write: a pipeline costs two system
calls, however long it is. A connection is read on only while its client takes the replies and the node keeps
up with telling other nodes, so nothing is queued without bound. WAIT holds back the commands behind it on
its connection, and nobody else's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Coroutine
from typing import Any, Final, cast

from dmqcache.server.resp.clients import Clients
from dmqcache.server.resp.inline import ProtocolError
from dmqcache.server.resp.local_socket import PROTECTED, is_local
from dmqcache.server.resp.long_reply import Reply
from dmqcache.server.resp.parse import RequestParser
from dmqcache.server.resp.reply import error
from dmqcache.server.resp.session import Session, Shared

log = logging.getLogger("dmqcache.server.resp.connection")

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
#: Commands that may stand behind one that waits, and bytes of them, before their client is read no further.
MAX_QUEUED_COMMANDS: Final = 10_000
MAX_QUEUED_BYTES: Final = 1 << 20
#: What Python needs beside the bytes of a short command, about.
COMMAND_OVERHEAD_BYTES: Final = 150
#: Before a client has logged in: arguments of a command and bytes of each (Redis'), and commands in one go.
GREETING_ARGUMENTS: Final = 10
GREETING_ARGUMENT_BYTES: Final = 16 * 1024
GREETING_COMMANDS: Final = 256
#: What may wait for a client that is told what others publish, before it is cut off: at once, and for so many
#: seconds (Redis' client-output-buffer-limit pubsub).
PUSHED_BYTES: Final = 32 << 20
PUSHED_SOFT_BYTES: Final = 8 << 20
PUSHED_SOFT_S: Final = 60.0
#: Seconds between two looks whether the node still has too much to tell others.
CONGESTION_PAUSE_S: Final = 0.001


class Connection(asyncio.BufferedProtocol):
    """One client. ``_commands[_next:]`` is what it asked for and was not done yet."""

    __slots__ = (
        "_clients",
        "_commands",
        "_congested",
        "_loop",
        "_next",
        "_parser",
        "_paused",
        "_pushed",
        "_pushes",
        "_queued",
        "_replies",
        "_room",
        "_session",
        "_shared",
        "_slow_since",
        "_transport",
        "_unread",
        "_unsent",
        "_waiting",
        "held",
    )

    def __init__(
        self, shared: Shared, clients: Clients, max_argument: int, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._shared = shared
        self._clients = clients
        self._loop = loop
        self._parser = RequestParser(max_argument)
        self._commands: list[list[str]] = []
        self._next = 0
        #: What they take, about, while some of them are still to be done.
        self._queued = 0
        #: See ``Client``.
        self.held = 0
        #: The WAIT under way.
        self._waiting: asyncio.Task[None] | None = None
        #: The client does not take its replies.
        self._unread = False
        #: The node has too much to tell others.
        self._congested = False
        #: Bytes of a long reply that are still to be written, and who waits for room.
        self._unsent = 0
        self._room: asyncio.Future[None] | None = None
        #: We do not read from the client.
        self._paused = False
        #: The replies of the commands that are being run.
        self._replies: list[bytes] | None = None
        #: What others have published for the client, to be written on the next turn, and its bytes.
        self._pushes: list[bytes] = []
        self._pushed = 0
        #: Since when more waits for it than should.
        self._slow_since: float | None = None

    # -- asyncio ----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        sock = self._transport.get_extra_info("socket")
        host, address = _peer(self._transport)
        self._session = session = Session(self._shared, address, self.close, self.push, self.answer)
        refusal = ""
        if not self._clients.admit(self):
            refusal = "ERR max number of clients reached"
        elif self._shared.protected and self._shared.users.open and not is_local(sock, host):
            self._shared.counters.refused["protected"] += 1
            self._shared.node.bus.counters.refused_clients["stranger"] += 1
            refusal = PROTECTED
        if refusal:
            session.closing = True
            self._transport.write(error(refusal))
            self._transport.close()
            return
        self._shared.sessions[self._session.id] = self._session
        self._transport.set_write_buffer_limits(OUTPUT_HIGH_BYTES, OUTPUT_LOW_BYTES)
        # A client whose machine vanished must not keep its place for ever.
        if sock is not None and sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def connection_lost(self, exc: Exception | None) -> None:
        self._session.closing = True
        self._commands = []
        if self._waiting is not None:
            self._waiting.cancel()
        self._session.let_go()
        self._shared.sessions.pop(self._session.id, None)
        self._clients.forget(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._clients.buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._session.closing or self._parser.failed:
            return
        data = bytes(self._clients.buffer[:nbytes])
        self._shared.counters.bytes_in += len(data)
        if not self._session.authenticated and self._next >= len(self._commands):
            data = self._greet(data)
        if data:
            self._take(data)
        self._work()
        if self._parser.pending > MAX_REQUEST_BYTES:
            self._refuse("request_too_large", "ERR Protocol error: too big request")

    def _take(self, data: bytes) -> None:
        """What came is to be done after what is to be done already."""
        commands = self._parser.feed(data)
        self._queued += len(data) + COMMAND_OVERHEAD_BYTES * len(commands)
        if self._next < len(self._commands):
            self._commands += commands
        else:
            self._commands, self._next = commands, 0

    def _greet(self, data: bytes) -> bytes:
        """Run what a client says before it has logged in, one command after the other and within Redis'
        limits for strangers; returns what comes after the log-in."""
        session, parser = self._session, self._parser
        data, at = parser.with_rest(data), 0
        replies: list[bytes] = []
        while not (session.authenticated or session.closing or parser.failed):
            command, at = parser.read_one(data, at, GREETING_ARGUMENTS, GREETING_ARGUMENT_BYTES)
            if command is None:
                break
            reply = self._shared.execute(session, command)
            if isinstance(reply, bytes):  # nothing that is run before the log-in waits
                replies.append(reply)
            if len(replies) > GREETING_COMMANDS:
                parser.failed = ProtocolError("too many commands before AUTH")
        self._shared.counters.commands += len(replies)
        self._write(b"".join(replies))
        if session.authenticated:
            return data[at:]
        parser.keep(data[at:])
        return b""

    def pause_writing(self) -> None:
        self._unread = True

    def resume_writing(self) -> None:
        self._unread = False
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        self._work()

    # -- commands ---------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close once what was written is out."""
        self._session.closing = True
        self._transport.close()

    def end(self, reason: str) -> None:
        """Close at once."""
        self._shared.counters.refused[reason] += 1
        self._session.closing = True
        self._transport.abort()

    def _held_back(self) -> bool:
        return self._unread or self._congested or self._waiting is not None

    def _work(self) -> None:
        """Run what is to be run, as far as client and node keep up; then see whether to read on."""
        while self._next < len(self._commands) and not self._held_back() and not self._session.closing:
            self._run_slice()
        if self._session.closing:
            self._transport.close()
        elif self._next >= len(self._commands) and self._parser.failed and self._waiting is None:
            self._refuse("protocol_error", f"ERR Protocol error: {self._parser.failed}")
        else:
            self._read_or_pause()
        if not self._commands:
            self._queued = 0
        self._account()

    def _account(self) -> None:
        """Say what is held for the client."""
        held = self._queued + self._parser.pending + self._transport.get_write_buffer_size()
        held += self._session.held + self._unsent
        if held != self.held and not self._session.closing:
            self._clients.hold(self, held)

    def _run_slice(self) -> None:
        session, commands = self._session, self._commands
        start = self._next
        replies: list[bytes] = []
        self._replies = replies
        for position in range(start, min(start + SLICE_COMMANDS, len(commands))):
            reply = self._shared.execute(session, commands[position])
            self._next = position + 1
            if not isinstance(reply, bytes):
                self._wait_for(reply)
                break
            if session.skipped:
                session.skipped -= 1
                continue
            replies.append(reply)
            if session.closing or len(reply) > LARGE_REPLY_BYTES:
                break
        self._replies = None
        self._shared.counters.commands += self._next - start
        if self._next >= len(commands):
            self._commands, self._next = [], 0
        self._write(b"".join(replies))
        if self._shared.node.congested():
            self._congested = True
            self._loop.call_later(CONGESTION_PAUSE_S, self._try_again)

    def push(self, data: bytes) -> None:
        """Tell the client something beside its replies: at their place, if its own command is the cause."""
        if self._replies is not None:
            self._replies.append(data)
            return
        if not self._pushes:
            self._loop.call_soon(self._push_out)
        self._pushes.append(data)
        self._pushed += len(data)
        if self._pushed > PUSHED_BYTES and not self._session.closing:
            self.end("slow_subscriber")

    def _push_out(self) -> None:
        if self._unsent:
            return  # Not within a reply.
        pushes, self._pushes, self._pushed = self._pushes, [], 0
        if self._session.closing:
            return
        self._write(b"".join(pushes))
        waiting = self._transport.get_write_buffer_size()
        if waiting <= PUSHED_SOFT_BYTES:
            self._slow_since = None
        elif self._slow_since is None:
            self._slow_since = self._loop.time()
        elif self._loop.time() - self._slow_since > PUSHED_SOFT_S:
            self.end("slow_subscriber")
        if waiting > PUSHED_BYTES and not self._session.closing:
            self.end("slow_subscriber")
        self._account()

    def _write(self, data: bytes) -> None:
        if data:
            self._shared.counters.bytes_out += len(data)
            self._transport.write(data)

    def _try_again(self) -> None:
        if self._shared.node.congested():
            self._loop.call_later(CONGESTION_PAUSE_S, self._try_again)
            return
        self._congested = False
        if not self._transport.is_closing():
            self._work()

    def _read_or_pause(self) -> None:
        queued = len(self._commands) - self._next
        full = queued > MAX_QUEUED_COMMANDS or (queued > 0 and self._queued > MAX_QUEUED_BYTES)
        pause = self._unread or self._congested or full
        if pause != self._paused and not self._transport.is_closing():
            self._paused = pause
            if pause:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def _wait_for(self, reply: Coroutine[Any, Any, Reply]) -> None:
        self._session.waiting = True
        self._waiting = self._loop.create_task(self._finish(reply))
        # Of a client that leaves at once nothing has begun.
        self._waiting.add_done_callback(lambda _: reply.close())

    async def _finish(self, reply: Coroutine[Any, Any, Reply]) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            try:
                found = await reply
                data = found if isinstance(found, bytes) else await self._write_out(found)
            except ValueError as problem:
                # What is wrong with a command that waits is seen when it is under way.
                self._shared.counters.errors += 1
                data = error(f"ERR {problem}")
            except Exception:
                log.exception("a command failed")
                data = error("ERR internal error, see the node's log")
            self._answered(data)

    async def _write_out(self, parts: list[bytes]) -> bytes:
        """Write a long reply as fast as the client takes it, but for its last part, which is returned."""
        self._unsent = 0 if self._session.skipped else sum(map(len, parts))
        parts.reverse()
        while self._unsent and len(parts) > 1 and not self._session.closing:
            part = parts.pop()
            self._unsent -= len(part)
            self._write(part)
            self._account()
            if self._unread:
                self._room = self._loop.create_future()
                await self._room
            else:
                await asyncio.sleep(0)
        self._unsent = 0
        if self._pushes:
            self._loop.call_soon(self._push_out)
        return parts[0]

    def answer(self, data: bytes) -> None:
        """The reply of the command under way, which waits no more for its own."""
        if self._waiting is not None:
            self._waiting.cancel()
            self._loop.call_soon(self._answered, data)

    def _answered(self, data: bytes) -> None:
        self._waiting, self._session.waiting = None, False
        if self._transport.is_closing():
            return
        if self._session.skipped:
            self._session.skipped -= 1
        else:
            self._write(data)
        self._work()

    def _refuse(self, reason: str, text: str) -> None:
        self._shared.counters.refused[reason] += 1
        self._write(error(text))
        self.close()


def _peer(transport: asyncio.Transport) -> tuple[str, str]:
    """The host of a client, and its address as CLIENT LIST shows it."""
    address = transport.get_extra_info("peername")
    if isinstance(address, tuple):
        host, port = address[:2]
        return host, f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return "", f"{transport.get_extra_info('sockname') or '?'}:0"
