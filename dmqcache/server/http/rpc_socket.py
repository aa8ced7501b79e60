"""JSON-RPC over a unix datagram socket, as Kamailio's jsonrpcs has one (``dgram_socket``): kamcli speaks it.

One datagram is a request or a batch, the answer is one datagram to the address that it came from; so who asks
binds a path of his own. What the methods do is ``rpc_methods.py``'s. Who may write to the socket's file may
change everything: it has mode 0600.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from pathlib import Path
from typing import Final, NoReturn

from dmqcache.server.http import rpc
from dmqcache.server.http.rpc_methods import ServedNode, methods_of
from dmqcache.server.unix_socket import bind_path

log = logging.getLogger("dmqcache.http")

#: Bytes of a request and of an answer (Kamailio's ``DATAGRAM_SOCK_BUF_SIZE``); dumps of more go by HTTP.
MAX_DATAGRAM: Final = 65_457
#: Requests that are under way at once; more wait in the system's queue, and their senders with them.
UNDER_WAY: Final = 32
#: Seconds for which a full queue of the asker is waited for (Kamailio's ``dgram_timeout``); between tries.
PATIENCE_S: Final = 2.0
AGAIN_S: Final = 0.01
TOO_LONG: Final = "the answer is longer than a datagram may be; ask by HTTP"


def _unknown() -> NoReturn:
    raise rpc.RpcError(rpc.FAILED, "Method Not Found")


class _Methods(dict[str, rpc.Method]):
    """All of them; one that there is not is a 500, as Kamailio says by datagrams (and JSON-RPC's -32601 over
    HTTP)."""

    def get(self, name: str, default: object = None) -> rpc.Method:
        return self[name] if name in self else rpc.Method(_unknown)


class RpcSocket:
    """Serves one node at a path."""

    def __init__(self, node: ServedNode, path: Path, version: str) -> None:
        self._methods = _Methods(methods_of(node, version))
        self._path = path
        self._sock: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._reading = False

    async def start(self) -> None:
        """Listen. OSError, with the path as its file name, where that cannot be."""
        self._sock = bind_path(self._path, socket.SOCK_DGRAM, "rpc_socket")
        self._read_on()

    def reload(self) -> None:
        """There is nothing to read again."""

    async def close(self) -> None:
        """Answer no more."""
        if self._sock is None:
            return
        self._stop_reading()
        for task in list(self._tasks):
            task.cancel()
        self._sock.close()
        self._sock = None
        self._path.unlink(missing_ok=True)

    def _read_on(self) -> None:
        if not self._reading and self._sock is not None:
            self._reading = True
            asyncio.get_running_loop().add_reader(self._sock.fileno(), self._read)

    def _stop_reading(self) -> None:
        if self._reading and self._sock is not None:
            self._reading = False
            asyncio.get_running_loop().remove_reader(self._sock.fileno())

    def _read(self) -> None:
        assert self._sock is not None
        try:
            # One byte more tells that it was longer.
            body, asker = self._sock.recvfrom(MAX_DATAGRAM + 1)
        except (BlockingIOError, InterruptedError):
            return
        task = asyncio.get_running_loop().create_task(self._serve(body, asker))
        self._tasks.add(task)
        task.add_done_callback(self._done)
        if len(self._tasks) >= UNDER_WAY:
            self._stop_reading()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._read_on()

    async def _serve(self, body: bytes, asker: str | bytes | None) -> None:
        try:
            answer = await self._answer(body)
        except Exception:
            log.exception("a request failed", extra={"path": str(self._path)})
            return
        if answer and asker:
            await self._send(answer, asker)

    async def _answer(self, body: bytes) -> bytes:
        if len(body) > MAX_DATAGRAM:
            return _error(f"the request is longer than {MAX_DATAGRAM} bytes")
        found = await rpc.answer(self._methods, body)
        if found.pieces is None:
            return b""
        answer = bytearray()
        async for piece in found.pieces:
            answer += piece.encode("ascii")
            if len(answer) > MAX_DATAGRAM:
                return _error(TOO_LONG, body)
        return bytes(answer)

    async def _send(self, answer: bytes, asker: str | bytes) -> None:
        """Send an answer, once the asker takes it. Who is gone gets none."""
        loop = asyncio.get_running_loop()
        until = loop.time() + PATIENCE_S
        while self._sock is not None:
            try:
                self._sock.sendto(answer, asker)
                return
            except BlockingIOError:
                if loop.time() >= until:
                    return
                await asyncio.sleep(AGAIN_S)
            except OSError as error:
                log.debug("an answer to %r could not be sent: %s", asker, error)
                return


def _error(text: str, body: bytes = b"null") -> bytes:
    try:
        request = json.loads(body)
    except ValueError:
        request = None
    number = request.get("id") if isinstance(request, dict) else None
    said = {"jsonrpc": "2.0", "error": {"code": rpc.FAILED, "message": text}}
    return json.dumps(said | {"id": number if isinstance(number, int | str) else None}).encode("ascii")
