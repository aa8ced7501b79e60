"""What the core may rely on, held for the real runtime and for that of the tests."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

import pytest

from dmqcache.bus.net.aio import AsyncioRuntime
from dmqcache.bus.runtime import Runtime
from tests.bus.virtual import Clock, VirtualRuntime
from tests.waiting import DEADLINE_S

#: Seconds: no scenario asks for a call that late.
LATER_THAN_ALL = 0.05


def on_virtual_time(scenario: Callable[[Runtime], None]) -> None:
    clock = Clock()
    scenario(VirtualRuntime(clock))
    clock.run(1.0)


def on_asyncio(scenario: Callable[[Runtime], None]) -> None:
    async def main() -> None:
        runtime, over = AsyncioRuntime(), asyncio.Event()
        scenario(runtime)
        # A timer later than all of a scenario's: the loop makes calls in their order.
        runtime.call_later(LATER_THAN_ALL, over.set)
        async with asyncio.timeout(DEADLINE_S):
            await over.wait()

    asyncio.run(main())


both = pytest.mark.parametrize("live", [on_virtual_time, on_asyncio])


@both
def test_calls_come_on_a_later_turn_and_in_their_order(live: Callable[..., None]) -> None:
    made: list[str] = []

    def scenario(runtime: Runtime) -> None:
        runtime.call_later(0.02, lambda: made.append("late"))
        runtime.call_later(0.0, lambda: made.append("first"))
        runtime.call_later(0.0, lambda: made.append("second"))
        runtime.call_later(-1.0, lambda: made.append("overdue"))
        assert not made

    live(scenario)
    assert made == ["first", "second", "overdue", "late"]


@both
def test_a_cancelled_call_is_not_made_and_may_be_cancelled_again(live: Callable[..., None]) -> None:
    made: list[str] = []

    def scenario(runtime: Runtime) -> None:
        for delay in (0.0, 0.01):
            timer = runtime.call_later(delay, lambda: made.append("never"))
            timer.cancel()
            timer.cancel()
        done = runtime.call_later(0.0, lambda: made.append("once"))
        runtime.call_later(0.02, done.cancel)

    live(scenario)
    assert made == ["once"]


@both
def test_chance_is_a_share_and_tokens_are_sixteen_digits_never_the_same(live: Callable[..., None]) -> None:
    def scenario(runtime: Runtime) -> None:
        assert all(0 <= runtime.random() < 1 for _ in range(100))
        tokens = {runtime.token() for _ in range(100)}
        assert len(tokens) == 100 and all(re.fullmatch("[0-9a-f]{16}", token) for token in tokens)

    live(scenario)


@both
def test_time_is_monotonic_and_the_wall_clock_counts_milliseconds(live: Callable[..., None]) -> None:
    seen: list[float] = []

    def scenario(runtime: Runtime) -> None:
        seen.append(runtime.now())
        runtime.call_later(0.02, lambda: seen.append(runtime.now()))
        assert runtime.wall_ms() > 1_600_000_000_000

    live(scenario)
    assert seen[1] - seen[0] >= 0.019


@both
def test_what_is_spawned_runs_on_a_later_turn(live: Callable[..., None]) -> None:
    made: list[str] = []

    async def work() -> None:
        made.append("done")

    def scenario(runtime: Runtime) -> None:
        runtime.spawn(work(), "work")
        assert not made

    live(scenario)
    assert made == ["done"]
