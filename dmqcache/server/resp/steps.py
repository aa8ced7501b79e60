"""Commands that look at many keys, in steps: between two of them everybody else gets a turn.

Such a command is a generator: it works for a fraction of a millisecond, yields, goes on, and returns its
reply. How many of these pieces make a step says ``bus/loop_steps.py``. Within a transaction it runs to its
end at once, as nothing may come between.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from types import coroutine
from typing import Final, TypeVar, cast

from dmqcache.bus.loop_steps import step
from dmqcache.server.resp.long_reply import Reply, joined
from dmqcache.server.resp.reply import integer
from dmqcache.server.resp.session import Answer, Session
from dmqcache.store.table.listing import listed
from dmqcache.store.table.table import Table

#: Keys that are looked at in one piece, and changed in one.
STEP_KEYS: Final = 250
STEP_CHANGES: Final = 50
#: Keys that a command may name to be done at once, before anybody else has a turn: a millisecond or two.
MANY: Final = 250

#: Bytes of a reply that are joined, if they are there after the first step.
MOST_AT_ONCE: Final = 1 << 20

Steps = Generator[None, None, Reply]
T = TypeVar("T")


def in_steps(session: Session, steps: Steps) -> Answer:
    """The reply, if it is there after the first step; else what to wait for."""
    try:
        step(steps, session.shared.clock)
        while session.executing:
            next(steps)
    except StopIteration as end:
        return _at_once(session, end.value)
    return _go_on(session, steps)


def _at_once(session: Session, reply: Reply) -> Answer:
    """A reply that was there soon may still be too long to be written so, as with one value many times."""
    if isinstance(reply, bytes) or session.executing or sum(map(len, reply)) <= MOST_AT_ONCE:
        return joined(reply)
    return _alone(reply)


async def _alone(reply: Reply) -> Reply:
    return reply


def for_each(session: Session, keys: list[str], do: Callable[[str], int]) -> Answer:
    """The reply to a command that does something with each of its keys: the sum. Of many, in steps, and to
    the end also for a client that leaves."""
    if len(keys) <= MANY:
        return integer(sum(map(do, keys)))
    return in_steps(session, to_the_end(_sum(keys, do)))


def _sum(keys: list[str], do: Callable[[str], int]) -> Steps:
    total = 0
    for start in range(0, len(keys), STEP_CHANGES):
        total += sum(map(do, keys[start : start + STEP_CHANGES]))
        yield
    return integer(total)


def to_the_end(steps: Steps) -> Steps:
    """The same; what is left is done at once if the client leaves meanwhile."""
    try:
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return cast(Reply, end.value)
            yield
    finally:
        for _ in steps:
            pass


def key_steps(table: Table, prefix: str = "", count: int = STEP_KEYS) -> Iterator[list[str]]:
    """A table's keys in their order, so many at a time. A key that is there all the while comes once,
    whatever is written meanwhile."""
    return listed(table, count, prefix)


async def _go_on(session: Session, steps: Steps) -> Reply:
    return await to_its_end(session, steps) or b""


async def to_its_end(session: Session, steps: Generator[None, None, T]) -> T | None:
    """What the steps return in the end; None for a client that leaves meanwhile."""
    while not session.closing:
        await _turn()
        try:
            _own_step(session, steps)
        except StopIteration as end:
            return cast(T, end.value)
    return None


def _own_step(session: Session, steps: Iterator[None]) -> None:
    """What the client is told of its own changes in a later step (CLIENT TRACKING), it is told at once: the
    reply is still to come."""
    with session.shared.tracking.acting(session) as own:
        try:
            step(steps, session.shared.clock)
        finally:
            if own:
                session.push(b"".join(own))


@coroutine
def _turn() -> Generator[None]:
    """Let the loop do everything else that waits."""
    yield
