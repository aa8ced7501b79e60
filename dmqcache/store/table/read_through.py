"""Functions whose results are kept in a table, and times to live as programs have them.

Two callers that miss at the same moment both compute: nobody waits for another one's result.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, Protocol, TypeVar

from dmqcache.store.table.cell import Value


class Duration(Protocol):
    """``datetime.timedelta``, or what measures time as it does."""

    def total_seconds(self) -> float:
        """How long it is."""


#: A time to live: a number of seconds, or a timedelta.
Seconds = float | Duration
#: A function that is decorated stays what it is.
Cached = TypeVar("Cached", bound=Callable[..., Any])


class Kept(Protocol):
    """The part of a table that is needed here."""

    def get(self, key: str, /) -> Value | None:
        """The value, or None."""

    def set(self, key: str, value: Value | bytes, ttl: Seconds | None = None, keep_ttl: bool = False) -> None:
        """Write it."""


def in_seconds(time: Seconds) -> float:
    """The same as a number. TypeError."""
    if isinstance(time, int | float):
        return time
    try:
        return time.total_seconds()
    except AttributeError:
        raise TypeError(f"a time is a number of seconds or a timedelta, not {time!r}") from None


def read_through(
    table: Kept, ttl: Seconds | None, key: Callable[..., str] | None
) -> Callable[[Cached], Cached]:
    """See :meth:`dmqcache.store.table.table.Table.cached`."""

    def decorate(function: Cached) -> Cached:
        named = key or _named_after(function)

        def keep(name: str, result: Value | None) -> Value | None:
            if result is not None:
                table.set(name, result, ttl)
            return result

        @wraps(function)
        def plain(*args: Any, **options: Any) -> Any:
            name = named(*args, **options)
            held = table.get(name)
            return held if held is not None else keep(name, function(*args, **options))

        @wraps(function)
        async def waiting(*args: Any, **options: Any) -> Any:
            name = named(*args, **options)
            held = table.get(name)
            return held if held is not None else keep(name, await function(*args, **options))

        return waiting if inspect.iscoroutinefunction(function) else plain  # type: ignore[return-value]

    return decorate


def _named_after(function: Callable[..., Any]) -> Callable[..., str]:
    """A key from the function's name and the arguments, named ones in their order by name."""
    signature = inspect.signature(function)

    def named(*args: Any, **options: Any) -> str:
        bound = signature.bind(*args, **options)
        bound.apply_defaults()
        shown = ", ".join(f"{name}={value!r}" for name, value in bound.arguments.items())
        return f"{function.__qualname__}({shown})"

    return named
