"""A condition that comes true is waited for; one that does not is told with what is known."""

from __future__ import annotations

import asyncio

import pytest

from tests.waiting import NotReady, until, wait_until


def test_the_value_that_came_true_is_returned() -> None:
    answers = iter([0, None, 7])
    assert wait_until(lambda: next(answers), poll=0) == 7


def test_a_refused_connection_is_not_yet() -> None:
    answers = iter([ConnectionRefusedError(111, "refused"), None])

    def ask() -> bool:
        if error := next(answers):
            raise error
        return True

    assert wait_until(ask, poll=0)


def test_what_does_not_come_true_is_told_with_its_trouble() -> None:
    def refused() -> bool:
        raise ConnectionRefusedError(111, "refused")

    with pytest.raises(NotReady, match=r"not within 0 s: a thing \(ConnectionRefusedError: .*refused"):
        wait_until(refused, 0, lambda: "a thing", poll=0)


def test_an_error_of_the_condition_itself_is_no_waiting() -> None:
    def broken() -> bool:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        wait_until(broken)


def test_the_loop_goes_on_while_a_condition_is_waited_for() -> None:
    async def main() -> None:
        done: list[bool] = []
        asyncio.get_running_loop().call_later(0.01, done.append, True)
        await until(lambda: done)
        with pytest.raises(TimeoutError):
            await until(lambda: False, timeout=0)

    asyncio.run(main())
