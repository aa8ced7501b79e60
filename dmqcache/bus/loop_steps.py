"""Long work in steps of the event loop: between two of them everybody else has a turn.

Such work is an iterator that does a piece of it, a fraction of a millisecond, whenever it is asked for the
next item. As many pieces make a step as fit into :data:`STEP_S`, however fast the machine is. Owns how long a
step is and how the next one comes about; what a piece is, and how large, is for whoever has the work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from dmqcache.bus.runtime import Runtime

#: Seconds of the loop that a step takes, but for its last piece: with that one well below the 5 ms for which
#: nobody shall have to wait.
STEP_S: Final = 0.002


def step(pieces: Iterator[object], now: Callable[[], float]) -> None:
    """Do pieces for as long as a step lasts, one at least. StopIteration, with what a generator has returned,
    when there are no more. ``now``: monotonic seconds."""
    until = now() + STEP_S
    next(pieces)
    while now() < until:
        next(pieces)


def _never() -> bool:
    return False


def in_steps(
    runtime: Runtime,
    pieces: Iterator[object],
    then: Callable[[], None],
    given_up: Callable[[], bool] = _never,
) -> None:
    """Do all pieces, the first step of them at once, and then call ``then``: at once too if that was all.
    ``given_up`` is asked before each step: if it says so, nothing is done any more."""
    if given_up():
        return
    try:
        step(pieces, runtime.now)
    except StopIteration:
        then()
    else:
        runtime.call_later(0.0, partial(in_steps, runtime, pieces, then, given_up))
