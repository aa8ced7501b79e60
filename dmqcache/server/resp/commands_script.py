"""EVAL, EVALSHA, SCRIPT: Lua over our own commands, atomic on this node. What a script may see and take is
``lua_sandbox.py``'s; the process in which it runs, ``lua_process.py``'s.

A script is run by its SHA-1 from a bounded memory, as in Redis of one server; other nodes know nothing of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from dmqcache.server.resp.command import Command, container, parse_integer
from dmqcache.server.resp.lua_process import Lost, LuaProcess
from dmqcache.server.resp.reply import OK, CommandError, bulk, encode, to_bytes
from dmqcache.server.resp.session import Session, Shared

#: Scripts that a server remembers, and bytes of each; the one that was sent first goes first.
MAX_SCRIPTS: Final = 500
MAX_SCRIPT_BYTES: Final = 256 << 10
#: What the users' rules say of a command of a transaction, and Redis of the same in a script.
_NO_PERMISSION: Final = {
    b"execute the command": b"run this command or subcommand",
    b"touch the specified keys": b"access at least one of the keys mentioned in the command arguments",
    b"touch the table": b"access the table of the command",
    b"publish to the specified channel": b"publish to the channel mentioned in the command",
}
_NOT_ALLOWED: Final = b"-ERR This Redis command is not allowed from script\r\n"
_NO_SCRIPT: Final = "NOSCRIPT No matching script. Please use EVAL."
#: What makes no sense from within a script, or would wait.
_NOT_IN_SCRIPTS: Final = frozenset(
    {
        *("ACL", "AUTH", "CLIENT", "CONFIG", "DISCARD", "DMQ.BROADCAST", "DMQ.SEND", "DMQ.WATCH", "EVAL"),
        *("EVALSHA", "EXEC", "HELLO", "LATENCY", "MONITOR", "MULTI", "PSUBSCRIBE", "PUNSUBSCRIBE", "QUIT"),
        *("RESET", "ROLE", "SCRIPT", "SUBSCRIBE", "UNSUBSCRIBE", "UNWATCH", "WAIT", "WAITAOF"),
        "WATCH",
    }
)


class Scripts:
    """The scripts of one server, and the process that runs them, from the first one on."""

    def __init__(self) -> None:
        self._sources: dict[str, bytes] = {}
        self._process: LuaProcess | None = None

    def load(self, source: str) -> str:
        """Remember a script; its name. CommandError for one that Lua does not take."""
        code = to_bytes(source)
        if len(code) > MAX_SCRIPT_BYTES:
            raise CommandError(f"ERR a script has at most {MAX_SCRIPT_BYTES} bytes")
        name = hashlib.sha1(code, usedforsecurity=False).hexdigest()
        if name not in self._sources:
            with self._replacing() as process:
                process.load(name.encode(), code)
                if len(self._sources) >= MAX_SCRIPTS:
                    oldest = next(iter(self._sources))
                    del self._sources[oldest]
                    process.forget(oldest.encode())
            self._sources[name] = code
        return name

    @property
    def count(self) -> int:
        """How many scripts are remembered."""
        return len(self._sources)

    @property
    def size(self) -> int:
        """Bytes of their text."""
        return sum(map(len, self._sources.values()))

    def knows(self, name: str) -> bool:
        """Whether a script of this name is remembered."""
        return name.lower() in self._sources

    @property
    def pid(self) -> int | None:
        """The number of the process in the system; None: there is none now."""
        return self._process.pid if self._process is not None else None

    def flush(self) -> None:
        """Forget all of them."""
        self._sources.clear()
        self.close()

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.close()
            self._process = None

    def run(self, session: Session, name: str, keys: list[str], argv: list[str]) -> bytes:
        """Run a script that is remembered. CommandError where it is not."""
        source = self._sources.get(name)
        if source is None:
            raise CommandError(_NO_SCRIPT)
        before = session.resp3, session.executing
        table = session.table_name, session.table  # SELECT is for the script alone
        session.resp3, session.executing, session.scripted = False, True, True
        try:
            with self._replacing() as process:
                process.load(name.encode(), source)
                said = [*map(to_bytes, keys)], [*map(to_bytes, argv)]
                reply, worn = process.run(name.encode(), *said, lambda words: _called(session, words))
        finally:
            session.resp3, session.executing, session.scripted = *before, False
            session.table_name, session.table = table
            session.restrict()
        if worn:
            self._begin_anew()
        return reply

    @contextmanager
    def _replacing(self) -> Iterator[LuaProcess]:
        """The process; one that is lost is replaced at once, so that the next script need not wait for it."""
        if self._process is None:
            self._process = LuaProcess()
        try:
            yield self._process
        except Lost:
            self._begin_anew()
            raise
        except CommandError:
            raise
        except BaseException:
            self.close()
            raise

    def _begin_anew(self) -> None:
        self.close()
        self._process = LuaProcess()


def _called(session: Session, words: list[bytes]) -> bytes:
    """What one ``redis.call`` is answered, in RESP2."""
    args = [word.decode("utf-8", "surrogateescape") for word in words]
    if args[0].upper() in _NOT_IN_SCRIPTS:
        return _NOT_ALLOWED
    reply = session.shared.execute(session, args)
    if not isinstance(reply, bytes):
        reply.close()
        return _NOT_ALLOWED
    return b"-" + _as_in_scripts(reply[1:-2]) + b"\r\n" if reply.startswith(b"-") else reply


def _as_in_scripts(text: bytes) -> bytes:
    """Redis has words of its own for some mistakes in a script."""
    if text.startswith(b"NOPERM"):
        for reason, words in _NO_PERMISSION.items():
            if reason in text:
                return b"ERR The user executing the script can't " + words
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
