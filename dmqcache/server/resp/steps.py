"""Commands that look at many keys, in steps: between two of them everybody else gets a turn.

Such a command is a generator: it works for some milliseconds, yields, goes on, and returns its reply. Within
a transaction it runs to its end at once, as nothing may come between.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from types import coroutine
from typing import Final

from dmqcache.server.resp.session import Answer, Session
from dmqcache.store.table.table import Table

#: Keys that are looked at in one step, and that are changed in one: two or three milliseconds each.
STEP_KEYS: Final = 4_000
STEP_CHANGES: Final = 500

Steps = Generator[None, None, bytes]


def in_steps(session: Session, steps: Steps) -> Answer:
    """The reply, if it is there after the first step; else what to wait for."""
    try:
        next(steps)
        while session.executing:
            next(steps)
    except StopIteration as end:
        return bytes(end.value)
    return _go_on(session, steps)


def key_steps(table: Table, prefix: str = "", count: int = STEP_KEYS) -> Iterator[list[str]]:
    """A table's keys in their order, so many at a time. A key that is there all the while comes once,
    whatever is written meanwhile."""
    some = table.scan(None, prefix, count)
    while len(some) == count:
        yield some
        some = table.scan(some[-1], prefix, count)
    yield some


async def _go_on(session: Session, steps: Steps) -> bytes:
    while not session.closing:
        await _turn()
        try:
            next(steps)
        except StopIteration as end:
            return bytes(end.value)
    return b""


@coroutine
def _turn() -> Generator[None]:
    """Let the loop do everything else that waits."""
    yield
