"""EVAL, EVALSHA, SCRIPT: Lua over our own commands, atomic on this node. What a script may see and take is
``lua_sandbox.py``'s.

A script is run by its SHA-1 from a bounded memory, as in Redis of one server; other nodes know nothing of it.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

import hiredis

from dmqcache.server.resp.command import Command, container, parse_integer
from dmqcache.server.resp.lua_sandbox import Interpreter
from dmqcache.server.resp.reply import OK, CommandError, bulk, encode, to_bytes
from dmqcache.server.resp.session import Session, Shared

#: Scripts that a server remembers, and bytes of each; the one that was sent first goes first.
MAX_SCRIPTS: Final = 500
MAX_SCRIPT_BYTES: Final = 256 << 10
_NO_SCRIPT: Final = "NOSCRIPT No matching script. Please use EVAL."
#: What makes no sense from within a script, or would wait.
_NOT_IN_SCRIPTS: Final = frozenset(
    {
        *("AUTH", "CLIENT", "DISCARD", "DMQ.BROADCAST", "DMQ.SEND", "DMQ.WATCH", "EVAL", "EVALSHA", "EXEC"),
        *("HELLO", "MULTI", "PSUBSCRIBE", "PUNSUBSCRIBE", "QUIT", "RESET", "SCRIPT", "SELECT", "SUBSCRIBE"),
        *("UNSUBSCRIBE", "UNWATCH", "WAIT", "WAITAOF", "WATCH"),
    }
)


class Scripts:
    """The scripts of one server."""

    def __init__(self) -> None:
        self._sources: dict[str, bytes] = {}
        self._compiled: dict[str, Any] = {}
        self._lua: Interpreter | None = None

    def load(self, source: str) -> str:
        """Remember a script; its name. CommandError for one that Lua does not take."""
        code = to_bytes(source)
        if len(code) > MAX_SCRIPT_BYTES:
            raise CommandError(f"ERR a script has at most {MAX_SCRIPT_BYTES} bytes")
        name = hashlib.sha1(code, usedforsecurity=False).hexdigest()
        if name not in self._sources:
            if name not in self._compiled:
                self._compiled[name] = self._interpreter().compile(code)
            if len(self._sources) >= MAX_SCRIPTS:
                oldest = next(iter(self._sources))
                del self._sources[oldest]
                self._compiled.pop(oldest, None)
            self._sources[name] = code
        return name

    def knows(self, name: str) -> bool:
        """Whether a script of this name is remembered."""
        return name.lower() in self._sources

    def flush(self) -> None:
        """Forget all of them."""
        self._sources.clear()
        self._compiled.clear()
        self._lua = None

    def run(self, session: Session, name: str, keys: list[str], argv: list[str]) -> bytes:
        """Run a script that is remembered. CommandError where it is not."""
        source = self._sources.get(name)
        if source is None:
            raise CommandError(_NO_SCRIPT)
        lua = self._interpreter()
        script = self._compiled.get(name)
        if script is None:
            script = self._compiled[name] = lua.compile(source)
        before = session.resp3, session.executing
        session.resp3, session.executing = False, True
        try:
            return lua.run(
                script, [*map(to_bytes, keys)], [*map(to_bytes, argv)], lambda words: _called(session, words)
            )
        except CommandError:
            raise
        except Exception as problem:
            # Out of memory in the middle of something: the next script gets a Lua of its own.
            self._lua, self._compiled = None, {}
            said = problem.args[0] if problem.args else problem
            text = said.decode("utf-8", "surrogateescape") if isinstance(said, bytes) else str(said)
            raise CommandError(f"ERR the script was stopped: {text}") from None
        finally:
            session.resp3, session.executing = before

    def _interpreter(self) -> Interpreter:
        if self._lua is None:
            self._lua = Interpreter(_sha1hex)
        return self._lua


def _sha1hex(data: bytes) -> bytes:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest().encode()


def _called(session: Session, words: tuple[Any, ...]) -> tuple[bool, Any]:
    """One ``redis.call``: whether it failed, and what it brought."""
    args: list[str] = []
    for word in words:
        if isinstance(word, bool) or not isinstance(word, bytes | int | float):
            return True, b"ERR Lua redis lib command arguments must be strings or integers"
        data = word if isinstance(word, bytes) else b"%.17g" % word
        args.append(data.decode("utf-8", "surrogateescape"))
    if not args:
        return True, b"ERR Please specify at least one argument for this redis.call() call"
    if args[0].upper() in _NOT_IN_SCRIPTS:
        return True, b"ERR This Redis command is not allowed from script"
    reply = session.shared.execute(session, args)
    if not isinstance(reply, bytes):
        reply.close()
        return True, b"ERR This Redis command is not allowed from script"
    if reply.startswith(b"-"):
        return True, _as_in_scripts(reply[1:-2])
    if reply.startswith(b"+"):
        return False, {b"ok": reply[1:-2]}
    reader = hiredis.Reader()
    reader.feed(reply)
    return False, reader.gets()


def _as_in_scripts(text: bytes) -> bytes:
    """Redis has words of its own for two mistakes in a script."""
    if text.startswith(b"ERR unknown command"):
        return b"ERR Unknown Redis command called from script"
    if text.startswith(b"ERR wrong number of arguments for"):
        return b"ERR Wrong number of args calling Redis command from script"
    return text


def _scripts(shared: Shared) -> Scripts:
    if shared.scripts is None:
        shared.scripts = Scripts()
    assert isinstance(shared.scripts, Scripts)
    return shared.scripts


def _arguments(args: list[str]) -> tuple[list[str], list[str]]:
    """The keys and the other arguments after the script."""
    count = parse_integer(args[2])
    if count < 0:
        raise CommandError("ERR Number of keys can't be negative")
    if count > len(args) - 3:
        raise CommandError("ERR Number of keys can't be greater than number of args")
    return args[3 : 3 + count], args[3 + count :]


def eval_(session: Session, args: list[str]) -> bytes:
    keys, argv = _arguments(args)
    scripts = _scripts(session.shared)
    return scripts.run(session, scripts.load(args[1]), keys, argv)


def evalsha(session: Session, args: list[str]) -> bytes:
    keys, argv = _arguments(args)
    return _scripts(session.shared).run(session, args[1].lower(), keys, argv)


def _load(session: Session, args: list[str]) -> bytes:
    return bulk(_scripts(session.shared).load(args[2]))


def _exists(session: Session, args: list[str]) -> bytes:
    scripts = _scripts(session.shared)
    return encode([int(scripts.knows(name)) for name in args[2:]], session.resp3)


def _flush(session: Session, args: list[str]) -> bytes:
    if len(args) > 3 or (len(args) == 3 and args[2].upper() not in ("ASYNC", "SYNC")):
        raise CommandError("ERR SCRIPT FLUSH only support SYNC|ASYNC option")
    _scripts(session.shared).flush()
    return OK


def _kill(session: Session, args: list[str]) -> bytes:
    raise CommandError("NOTBUSY No scripts in execution right now.")


COMMANDS = (
    Command("EVAL", eval_, -3, "", "Runs a Lua script on this node, atomically."),
    Command("EVALSHA", evalsha, -3, "", "Runs a script that this node knows, by its SHA-1."),
    container(
        "SCRIPT",
        "Loads and forgets scripts.",
        (
            Command("SCRIPT|EXISTS", _exists, -3, "", "Tells which scripts this node knows."),
            Command("SCRIPT|FLUSH", _flush, -2, "", "Forgets all scripts."),
            Command("SCRIPT|KILL", _kill, 2, "", "Says that none runs: they end by themselves."),
            Command("SCRIPT|LOAD", _load, 3, "", "Keeps a script and returns its SHA-1."),
        ),
    ),
)
