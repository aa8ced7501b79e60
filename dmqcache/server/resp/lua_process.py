"""The node's hold on the process that runs its scripts: started, asked, waited for, and ended.

While a script runs the node waits for it, so that it is atomic, but never longer than ``MAX_SECONDS``: then
the process is killed. What a script may do is ``lua_worker.py``'s and ``lua_sandbox.py``'s; which scripts
there are, ``commands_script.py``'s.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Final

from dmqcache.server.resp.lua_wire import Ended, Wire
from dmqcache.server.resp.reply import CommandError

#: Seconds for which a script may hold the node, its calls included. (Of Lua's own time it has half as much.)
MAX_SECONDS: Final = 1.0
#: Seconds until a process that does not even begin is given up.
START_SECONDS: Final = 10.0
TOO_LONG: Final = "ERR the script took too long and was stopped; what it wrote stays"
TOO_MUCH: Final = "ERR the script was stopped: not enough memory; what it wrote stays"

#: What a script's ``redis.call`` runs: its words to a reply of RESP2.
Call = Callable[[list[bytes]], bytes]


class Lost(CommandError):
    """The process is of no use any more: another is to be started. The message is the client's."""


class LuaProcess:
    """One process. It is started at once, and waited for by the first script."""

    def __init__(self) -> None:
        """CommandError where lupa is not installed."""
        if find_spec("lupa") is None:
            raise CommandError("ERR scripts need Lua: pip install 'dmqcache[lua]'")
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-P", "-m", "dmqcache.server.resp.lua_worker", str(theirs.fileno())]
            self._process = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                # A Ctrl-C is the node's.
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        self._wire = Wire(ours)
        self._ready = False
        self._loaded: set[bytes] = set()
        self.close = weakref.finalize(self, _end, self._process, self._wire)

    @property
    def pid(self) -> int:
        """Its number in the system."""
        return self._process.pid

    def load(self, name: bytes, code: bytes) -> None:
        """Have it know a script. CommandError with what Lua says is wrong; Lost."""
        if name in self._loaded:
            return
        answer = self._ask(_none, b"load", name, code)
        if answer[0] == b"wrong":
            raise CommandError(answer[1].decode("utf-8", "surrogateescape"))
        self._loaded.add(name)

    def forget(self, name: bytes) -> None:
        """It need not know a script any more."""
        if name in self._loaded:
            self._loaded.discard(name)
            try:
                self._wire.send(b"forget", name, seconds=MAX_SECONDS)
            except (Ended, TimeoutError):
                self.close()

    def run(
        self, name: bytes, keys: Sequence[bytes], argv: Sequence[bytes], call: Call
    ) -> tuple[bytes, bool]:
        """Run a script that it knows: its reply, and whether another process should run the next.
        CommandError; Lost."""
        answer = self._ask(call, b"run", name, b"%d" % len(keys), *keys, *argv)
        if answer[0] == b"wrong":
            raise CommandError(answer[1].decode("utf-8", "surrogateescape"))
        return answer[1], answer[0] == b"worn"

    def _ask(self, call: Call, *order: bytes) -> list[bytes]:
        """An order's answer; what it calls meanwhile is called."""
        try:
            self._wait_ready()
            until = time.monotonic() + MAX_SECONDS
            self._wire.send(*order, seconds=MAX_SECONDS)
            while (answer := self._wire.receive(_left(until)))[0] == b"call":
                self._wire.send(call(answer[1:]), seconds=_left(until))
            return answer
        except TimeoutError:
            self.close()
            raise Lost(TOO_LONG) from None
        except Ended:
            self.close()
            raise Lost(TOO_MUCH) from None
        except BaseException:
            self.close()  # It waits for what will not come.
            raise

    def _wait_ready(self) -> None:
        if self._ready:
            return
        answer = self._wire.receive(START_SECONDS)
        if answer[0] != b"ready":
            raise CommandError(answer[1].decode())
        self._ready = True


def _none(_words: list[bytes]) -> bytes:
    raise Ended


def _left(until: float) -> float:
    """Seconds until then. TimeoutError: none."""
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _end(process: subprocess.Popen[bytes], wire: Wire) -> None:
    wire.close()
    process.kill()
    process.wait()
