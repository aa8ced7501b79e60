"""The process that runs a node's scripts: ``python -m dmqcache.server.resp.lua_worker FD``.

Whatever a script does to it, memory, endless loops or a fault of Lua's, harms the node as little as the end
of this process does. ``redis.call`` is asked of the node over the socket; when the node closes that, or dies,
this process ends. Lua itself is ``lua_sandbox.py``'s; the node's side of the socket is ``lua_process.py``'s.
"""

from __future__ import annotations

import hashlib
import resource
import socket
import sys
from contextlib import suppress
from typing import Any, Final

import hiredis

from dmqcache.server.resp.lua_sandbox import Interpreter
from dmqcache.server.resp.lua_wire import Ended, Wire
from dmqcache.server.resp.reply import CommandError

#: Bytes of address space: Lua's own bound is far below.
MAX_BYTES: Final = 1 << 30
_NO_WORD: Final = b"ERR Lua redis lib command arguments must be strings or integers"


class LuaWorker:
    """Compiles and runs what the node sends, one after the other."""

    def __init__(self, wire: Wire) -> None:
        """CommandError where lupa is not installed."""
        self._wire = wire
        self._lua = Interpreter(_sha1hex)
        self._scripts: dict[bytes, Any] = {}

    def work(self) -> None:
        """Until the node is gone."""
        with suppress(Ended):
            while True:
                order, *rest = self._wire.receive()
                if order == b"load":
                    self._wire.send(*self._load(*rest))
                elif order == b"forget":
                    self._scripts.pop(rest[0], None)
                else:
                    self._wire.send(*self._run(*rest))

    def _load(self, name: bytes, code: bytes) -> tuple[bytes, ...]:
        try:
            self._scripts[name] = self._lua.compile(code)
        except CommandError as problem:
            return b"wrong", str(problem).encode("utf-8", "surrogateescape")
        return (b"loaded",)

    def _run(self, name: bytes, count: bytes, *words: bytes) -> tuple[bytes, ...]:
        """The reply of a script; ``worn``: this process should run no further one."""
        keys, argv = words[: int(count)], words[int(count) :]
        try:
            reply = self._lua.run(self._scripts[name], keys, argv, self._call, name.decode())
        except CommandError as problem:
            return b"wrong", str(problem).encode("utf-8", "surrogateescape")
        return b"worn" if self._lua.is_worn() else b"done", reply

    def _call(self, words: tuple[Any, ...]) -> tuple[bool, Any]:
        """One ``redis.call``: whether it failed, and what it brought."""
        asked = []
        for word in words:
            if isinstance(word, bool) or not isinstance(word, bytes | int | float):
                return True, _NO_WORD
            asked.append(word if isinstance(word, bytes) else b"%.17g" % word)
        if not asked:
            return True, b"ERR Please specify at least one argument for this redis lib call"
        self._wire.send(b"call", *asked)
        (reply,) = self._wire.receive()
        if reply.startswith(b"-"):
            return True, reply[1:-2]
        if reply.startswith(b"+"):
            return False, {b"ok": reply[1:-2]}
        reader = hiredis.Reader()
        reader.feed(reply)
        return False, reader.gets()


def _sha1hex(data: bytes) -> bytes:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest().encode()


def main(argument: str) -> None:
    """Serve the node at the other end of this file descriptor."""
    resource.setrlimit(resource.RLIMIT_AS, (MAX_BYTES, MAX_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    wire = Wire(socket.socket(fileno=int(argument)))
    with suppress(Ended):
        try:
            worker = LuaWorker(wire)
        except CommandError as problem:
            wire.send(b"wrong", str(problem).encode())
            return
        wire.send(b"ready")
        worker.work()


if __name__ == "__main__":
    main(sys.argv[1])
