"""What is told of each command that runs: to MONITOR's clients, and to the slow log how long it took.

``command_table.py`` asks here for those commands that are timed always, and for all of them while somebody
wants to know of all (``Shared.looked_at``).
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from typing import Any, Final

from dmqcache.server.resp.command import Command, Handler
from dmqcache.server.resp.long_reply import Reply
from dmqcache.server.resp.monitors import line
from dmqcache.server.resp.permission import refused
from dmqcache.server.resp.session import Answer, Session

#: Never timed: its commands are, one by one.
_UNTIMED: Final = frozenset({"EXEC"})
#: Told before they run, as what they call is told too.
_BEFORE: Final = frozenset({"EVAL", "EVALSHA"})
#: Whose Redis says that the commands of a script are: address and name.
_OF_SCRIPT: Final = ("?:0", "")


def is_quick(command: Command) -> bool:
    """Whether it does so little that it is timed only while everything is."""
    return "fast" in command.flags.split() or command.name == "SET"


def timed(command: Command) -> Handler:
    """Its handler, with a look at how long it takes."""
    handler = command.handler

    def run(session: Session, args: list[str]) -> Answer:
        begun = session.shared.clock()
        answer: Answer = b""
        try:
            answer = handler(session, args)
        finally:
            if isinstance(answer, bytes):
                _took(session, command, begun, args)
        if isinstance(answer, bytes) or "blocking" in command.flags:
            return answer  # who waits does nothing
        return _ToItsEnd(answer, lambda: _took(session, command, begun, args))

    return handler if command.name in _UNTIMED else run


class _ToItsEnd(Coroutine[Any, Any, Reply]):
    """A command in steps: it takes as long as its client waits for it. Closed before it began, it closes what
    it would have waited for."""

    def __init__(self, answer: Coroutine[Any, Any, Reply], ended: Callable[[], None]) -> None:
        self._answer = answer
        self._ended = ended

    def __await__(self) -> Generator[Any, Any, Reply]:
        reply = yield from self._answer.__await__()
        self._ended()
        return reply

    def send(self, value: Any) -> Any:
        try:
            return self._answer.send(value)
        except StopIteration:
            self._ended()
            raise

    def throw(self, *error: Any) -> Any:
        return self._answer.throw(*error)

    def close(self) -> None:
        self._answer.close()


def _took(session: Session, command: Command, begun: float, args: list[str]) -> None:
    shared = session.shared
    seconds = shared.clock() - begun
    address, name = _OF_SCRIPT if session.scripted else (session.address, session.name)
    shared.slow_log.took(seconds, args, address, name)
    shared.latency.took("fast-command" if "fast" in command.flags else "command", seconds)


def run_looked_at(command: Command, session: Session, args: list[str]) -> Answer:
    """Run a command, and tell of it."""
    if command.name in _BEFORE:
        _tell(session, command, args)
        return command.handler(session, args)
    handler = timed(command) if is_quick(command) else command.handler
    answer: Answer = b""
    try:
        answer = handler(session, args)
    finally:
        own = _tell(session, command, args)
        if own and not (answer and isinstance(answer, bytes)):
            session.push(own)
            own = b""
    return answer + own if isinstance(answer, bytes) else answer


def _tell(session: Session, command: Command, args: list[str]) -> bytes:
    """Tell all monitors of a command; returns what is to be told to its own client, after the reply."""
    shared, own = session.shared, b""
    if not shared.monitors.clients or "admin" in command.flags.split():
        return own
    said = line(shared.wall(), session.index, "lua" if session.scripted else session.address, args)
    for number in list(shared.monitors.clients):
        one = shared.sessions.get(number)
        if one is None or not (one.is_free or refused(session, one.user, command, args) is None):
            continue
        if one is session and not session.executing:
            own = said
        else:
            one.push(said)
    return own
