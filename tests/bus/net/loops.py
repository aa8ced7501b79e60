"""Both event loops for tests of the transports."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

Loop = Callable[[], asyncio.AbstractEventLoop]

try:
    import uvloop
except ImportError:
    uvloop = None  # type: ignore[assignment]

both_loops = pytest.mark.parametrize(
    "loop",
    [
        pytest.param(asyncio.new_event_loop, id="asyncio"),
        pytest.param(
            uvloop.new_event_loop if uvloop else None,
            id="uvloop",
            marks=pytest.mark.skipif(uvloop is None, reason="uvloop is not installed"),
        ),
    ],
)


def run(loop: Loop, main: Coroutine[Any, Any, None]) -> None:
    """Like ``asyncio.run`` on a loop of one's choice; an exception in a callback fails the test."""
    problems: list[dict[str, Any]] = []
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.get_loop().set_exception_handler(lambda _, context: problems.append(context))
        runner.run(main)
    assert not problems, problems


async def turns(count: int = 5) -> None:
    """Give the loop a few turns, for what must not happen."""
    for _ in range(count):
        await asyncio.sleep(0)
