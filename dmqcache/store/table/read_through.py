"""Functions whose results are kept in a table, and times to live as programs have them.

Two callers that miss at the same moment both compute: nobody waits for another one's result.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from functools import wraps
from hashlib import sha256
from typing import Any, Final, Protocol, TypeVar

from dmqcache.store.table.cell import Value
from dmqcache.store.table.checks import MAX_KEY_LENGTH

#: How an object is printed that says nothing of itself: another one may have the same address later.
_ADDRESS: Final = re.compile(r" at 0x[0-9a-fA-F]+>")


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

    def takes(self, value: Value | bytes) -> bool:
        """Whether :meth:`set` takes it."""

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
            # A text may be too long to be kept, which is nothing that who calls did wrong; another kind of
            # result is refused in words.
            if result is not None and (not isinstance(result, str | bytes) or table.takes(result)):
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
    """A key from the function's module and name and the arguments, each by its name. What would make too long
    a key stands in it as a hash. TypeError for a function without a name of its own."""
    signature = inspect.signature(function)
    name = getattr(function, "__qualname__", "<nameless>")
    if name.endswith(">"):
        raise TypeError(f"{function!r} has no name to be kept under: give cached() a key")
    prefix = f"{function.__module__}.{name}"

    def named(*args: Any, **options: Any) -> str:
        bound = signature.bind(*args, **options)
        bound.apply_defaults()
        for argument, value in bound.arguments.items():
            if not _is_told_apart(value):
                raise TypeError(
                    f"{prefix}: {argument} is printed as an address in memory, which another object may have "
                    "later: give cached() a key, or its class a __repr__"
                )
        shown = ", ".join(f"{argument}={value!r}" for argument, value in bound.arguments.items())
        key = f"{prefix}({shown})"
        if len(key) > MAX_KEY_LENGTH:
            return f"{prefix[:1024]}(sha256={sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()})"
        return key

    return named


def _is_told_apart(value: object) -> bool:
    """Whether what is printed of a value is its own."""
    if isinstance(value, str | bytes | int | float | None):
        return True
    if isinstance(value, list | tuple | set | frozenset):
        return all(map(_is_told_apart, value))
    if isinstance(value, Mapping):
        return all(map(_is_told_apart, value.keys())) and all(map(_is_told_apart, value.values()))
    return _ADDRESS.search(repr(value)) is None
