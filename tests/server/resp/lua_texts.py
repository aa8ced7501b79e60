"""Scripts whose result is one text, run in this process: for the libraries that scripts have."""

from __future__ import annotations

import hashlib

from dmqcache.server.resp.lua_sandbox import Interpreter


def interpreter() -> Interpreter:
    """One with nothing to call."""
    return Interpreter(lambda text: hashlib.sha1(text, usedforsecurity=False).hexdigest().encode())


def run(lua: Interpreter, code: str, *argv: str) -> str:
    """The script's one text, or error."""
    given = [one.encode("utf-8", "surrogateescape") for one in argv]
    reply = lua.run(lua.compile(code.encode()), [], given, lambda words: (False, None))
    return reply.partition(b"\r\n")[2 if reply.startswith(b"$") else 0].rstrip(b"\r\n").decode()
