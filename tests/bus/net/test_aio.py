"""The live runtime: timers, tokens, clocks and tasks on both event loops."""

from __future__ import annotations

import asyncio
import gc
import logging
import string
import time

import pytest

from dmqcache.bus.net.aio import AsyncioRuntime
from dmqcache.bus.runtime import Runtime
from tests.bus.net.loops import Loop, both_loops, run
from tests.waiting import until


@both_loops
def test_a_call_comes_after_its_delay_and_never_from_inside(loop: Loop) -> None:
    async def main() -> None:
        runtime: Runtime = AsyncioRuntime()
        seen: list[str] = []
        began = runtime.now()
        late: list[float] = []
        runtime.call_later(0.05, lambda: late.append(runtime.now() - began))
        runtime.call_later(0, lambda: seen.append("first"))
        runtime.call_later(-1, lambda: seen.append("second"))
        assert seen == []
        await until(lambda: late)
        assert seen == ["first", "second"]
        assert late[0] >= 0.045  # a loop may round to its clock's tick

    run(loop, main())


@both_loops
@pytest.mark.parametrize("delay", [0, 0.01])
def test_a_cancelled_call_never_comes_and_cancelling_again_does_nothing(loop: Loop, delay: float) -> None:
    async def main() -> None:
        runtime = AsyncioRuntime()
        seen: list[str] = []
        timer = runtime.call_later(delay, lambda: seen.append("cancelled"))
        timer.cancel()
        timer.cancel()
        kept = runtime.call_later(delay, lambda: seen.append("kept"))
        await until(lambda: seen)
        kept.cancel()
        assert seen == ["kept"]

    run(loop, main())


def test_tokens_are_sixteen_hexadecimal_digits_and_differ() -> None:
    async def main() -> None:
        runtime = AsyncioRuntime()
        tokens = {runtime.token() for _ in range(1000)}
        assert len(tokens) == 1000
        assert all(len(token) == 16 and set(token) <= set(string.hexdigits) for token in tokens)

    asyncio.run(main())


@both_loops
def test_time_goes_on_inside_a_callback(loop: Loop) -> None:
    async def main() -> None:
        runtime = AsyncioRuntime()
        before, began = runtime.now(), time.monotonic()
        while time.monotonic() - began < 0.02:
            pass
        assert runtime.now() - before >= 0.02
        # Fine enough for round trips on loopback, where uvloop's own time knows milliseconds only.
        assert len({round(runtime.now(), 9) for _ in range(100)}) > 20
        assert abs(runtime.wall_ms() - time.time() * 1000) < 1000

    run(loop, main())


def test_chance_stays_in_its_range_and_differs_between_nodes() -> None:
    async def main() -> None:
        one, two = AsyncioRuntime(), AsyncioRuntime()
        first = [one.random() for _ in range(100)]
        assert all(0 <= number < 1 for number in first)
        assert first != [two.random() for _ in range(100)]

    asyncio.run(main())


@both_loops
def test_a_spawned_coroutine_is_kept_alive_and_named(loop: Loop) -> None:
    async def main() -> None:
        runtime = AsyncioRuntime()
        names: list[str] = []

        async def work() -> None:
            gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            runtime.call_later(0.01, lambda: gate.set_result(None))
            await gate
            task = asyncio.current_task()
            assert task is not None
            names.append(task.get_name())

        runtime.spawn(work(), "the work")
        gc.collect()
        await until(lambda: names)
        assert names == ["the work"]

    run(loop, main())


@both_loops
def test_a_failing_coroutine_is_logged_and_harms_nobody(loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        runtime = AsyncioRuntime()

        async def broken() -> None:
            raise ValueError("on purpose")

        with caplog.at_level(logging.ERROR):
            runtime.spawn(broken(), "a broken handler")
            await until(lambda: caplog.records)
        assert "a broken handler failed" in caplog.text
        assert "on purpose" in caplog.text

    run(loop, main())


@both_loops
def test_close_cancels_what_still_runs(loop: Loop) -> None:
    async def main() -> None:
        runtime = AsyncioRuntime()
        ends: list[str] = []

        async def endless() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ends.append("cancelled")

        runtime.spawn(endless(), "endless")
        await asyncio.sleep(0)
        await runtime.close()
        assert ends == ["cancelled"]

    run(loop, main())


def test_there_must_be_a_loop() -> None:
    with pytest.raises(RuntimeError):
        AsyncioRuntime()
