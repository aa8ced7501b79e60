"""Waiting for a condition, never for a time: what must come true is asked for until its deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

#: Real waits end long before; a deadline that is met means a failure.
DEADLINE_S = 10.0
#: How often a condition is asked again.
POLL_S = 0.02


class NotReady(AssertionError):
    """A condition did not come true before its deadline; the text holds what is known."""


def wait_until(
    condition: Callable[[], T],
    timeout: float = DEADLINE_S,
    what: str | Callable[[], str] = "the condition",
    *,
    poll: float = POLL_S,
) -> T:
    """Ask ``condition`` until it is true and return its value; NotReady after ``timeout`` seconds.

    An OSError raised by the condition (a refused or cut connection) counts as "not yet".
    """
    deadline = time.monotonic() + timeout
    while True:
        trouble = ""
        try:
            value = condition()
            if value:
                return value
        except OSError as error:
            trouble = f" ({type(error).__name__}: {error})"
        if time.monotonic() > deadline:
            raise NotReady(f"not within {timeout:g} s: {what if isinstance(what, str) else what()}{trouble}")
        time.sleep(poll)


async def until(condition: Callable[[], Any], timeout: float = DEADLINE_S) -> None:
    """The same in a running loop, which goes on meanwhile."""
    async with asyncio.timeout(timeout):
        while not condition():
            await asyncio.sleep(0.002)
