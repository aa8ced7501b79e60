"""A pause: whom it holds, how long, and in which order they go on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from dmqcache.server.resp.pause import Pause, changes
from tests.server.fakes import FakeTime


@pytest.fixture
def time() -> Iterator[FakeTime]:
    yield FakeTime()


@pytest.fixture
def pause(time: FakeTime) -> Pause:
    return Pause(time.now)


def held(pause: Pause) -> str:
    return "all" if pause.holds(False) else "writes" if pause.holds(True) else "none"


def test_it_ends_by_itself(pause: Pause, time: FakeTime) -> None:
    assert held(pause) == "none"
    pause.begin(10, False)
    assert held(pause) == "all"
    time.seconds += 10
    assert held(pause) == "none"
    pause.begin(10, True)
    assert held(pause) == "writes"
    pause.end()
    assert held(pause) == "none"


def test_two_at_once_are_the_stricter_and_the_longer_one(pause: Pause, time: FakeTime) -> None:
    pause.begin(10, True)
    pause.begin(1, False)
    time.seconds += 9
    assert held(pause) == "all"
    pause.begin(5, True)
    assert held(pause) == "all"
    time.seconds += 4
    assert held(pause) == "all"
    time.seconds += 1
    pause.begin(5, True)
    assert held(pause) == "writes"


def test_who_waits_goes_on_in_his_order_and_who_is_gone_is_forgotten(pause: Pause) -> None:
    done: list[int] = []

    async def client(number: int) -> None:
        await pause.over()
        done.append(number)

    async def scene() -> None:
        pause.begin(3600, False)
        tasks = [asyncio.create_task(client(number)) for number in range(5)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        await asyncio.sleep(0)
        assert not done and len(pause._waiting) == 4
        pause.end()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert done == [0, 2, 3, 4] and not pause._waiting

    asyncio.run(scene())


def test_a_pause_that_becomes_longer_while_clients_wait(pause: Pause, time: FakeTime) -> None:
    async def scene() -> None:
        pause.begin(0.001, False)
        waiting = asyncio.create_task(pause.over())
        await asyncio.sleep(0)
        pause.begin(0.002, False)
        time.seconds += 1
        await waiting  # the timer looks at the clock, and again if it must

    asyncio.run(scene())


def test_what_changes_something() -> None:
    assert changes("SET", "write") and changes("PUBLISH", "fast") and changes("EVAL", "")
    assert not changes("GET", "readonly fast") and not changes("WAIT", "blocking")
