"""Results that are kept in a table."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial

import cachetools
import pytest

from dmqcache.store.table.read_through import in_seconds
from tests.store.fixtures import make_table


def test_a_function_is_asked_once_within_the_time_to_live() -> None:
    table, hands = make_table()
    calls: list[tuple[object, ...]] = []

    @table.cached(ttl=timedelta(seconds=60))
    def find(name: str, place: str = "here") -> str | None:
        """Looks."""
        calls.append((name, place))
        return None if name == "nobody" else f"{name} {place}"

    assert [find("a"), find("a"), find(name="a"), find("a", "here"), find("a", place="there")] == [
        *["a here"] * 4,
        "a there",
    ]
    assert calls == [("a", "here"), ("a", "there")]
    assert (find.__name__, find.__doc__) == ("find", "Looks.")
    hands.seconds += 61
    assert find("a") == "a here"
    assert len(calls) == 3
    assert find("nobody") is None and find("nobody") is None
    assert len(calls) == 5


def test_a_coroutine_and_a_key_of_ones_own() -> None:
    table, _ = make_table("t=>autoexpire=30")
    calls: list[int] = []

    @table.cached(key=lambda number: f"square:{number}")
    async def square(number: int) -> int:
        calls.append(number)
        return number * number

    async def scenario() -> None:
        assert [await square(3), await square(3), await square(4)] == [9, 9, 16]

    asyncio.run(scenario())
    assert calls == [3, 4]
    assert table["square:3"] == 9
    assert table.ttl("square:3") == 30


def test_what_no_table_holds_is_told() -> None:
    table, _ = make_table()

    @table.cached()
    def wrong() -> list[int]:
        return [1]

    with pytest.raises(ValueError, match="a value is a text, bytes or an integer, not list"):
        wrong()


def test_times_are_numbers_or_timedeltas() -> None:
    table, _ = make_table()
    assert in_seconds(timedelta(minutes=1)) == in_seconds(60) == 60
    table.set("a", "x", ttl=timedelta(minutes=1))
    assert table.ttl("a") == 60
    assert table.expire("a", timedelta(0))
    assert table.ttl("a") is None
    with pytest.raises(ValueError, match="a positive number of seconds"):
        table.set("a", "x", ttl=timedelta(seconds=-1))
    with pytest.raises(TypeError, match="a number of seconds or a timedelta, not 'x'"):
        table.set("a", "x", ttl="x")  # type: ignore[arg-type]


def test_cachetools_decorators_take_a_table_as_their_cache() -> None:
    table, _ = make_table()
    calls = []

    @cachetools.cached(table, key=lambda number: f"page:{number}")  # type: ignore[untyped-decorator]
    def page(number: int) -> str:
        calls.append(number)
        return f"text {number}"

    assert page(1) == page(1) == "text 1" and calls == [1]
    assert dict(table) == {"page:1": "text 1"}


class Plain:
    """Is printed as an address."""

    def __init__(self, name: str) -> None:
        self.name = name


def test_what_is_printed_as_an_address_is_never_taken_for_another() -> None:
    table, _ = make_table()

    @table.cached(ttl=60)
    def page(*of: object, **named: object) -> str:
        return "x"

    for value in (Plain("one"), [Plain("one")], {"a": (Plain("one"),)}, {1: {Plain("one")}}, lambda: 1):
        with pytest.raises(TypeError, match="printed as an address in memory"):
            page(value)
        with pytest.raises(TypeError, match="named is printed as an address"):
            page(key=value)
    assert page("<a.B object at 0x7f00>", ["<a.B object at 0x7f00>"]) == "x" and len(table) == 1


def test_functions_of_one_name_in_two_modules_and_nameless_ones_are_told_apart() -> None:
    table, _ = make_table()

    def find(number: int) -> int:
        return number

    def other(number: int) -> int:
        return -number

    other.__name__, other.__qualname__, other.__module__ = find.__name__, find.__qualname__, "elsewhere"
    assert [table.cached()(find)(5), table.cached()(other)(5), table.cached()(find)(5)] == [5, -5, 5]
    for nameless in (lambda number: number, partial(find, 3)):
        with pytest.raises(TypeError, match=r"has no name to be kept under: give cached\(\) a key"):
            table.cached()(nameless)
    assert table.cached(key=lambda number: f"square:{number}")(lambda number: number * number)(3) == 9


def test_long_arguments_are_kept_under_a_hash() -> None:
    table, _ = make_table()
    calls: list[int] = []

    @table.cached()
    def length(text: str) -> int:
        calls.append(len(text))
        return len(text)

    assert [length("x" * 5_000), length("x" * 5_000), length("x" * 5_001), length("\ud800" * 900)] == [
        *(5_000, 5_000, 5_001, 900)
    ]
    assert calls == [5_000, 5_001, 900]


def test_a_result_that_is_too_long_is_returned_and_not_kept() -> None:
    table, _ = make_table()
    texts: list[str | bytes] = [
        "x" * (table.max_value_bytes + 1),
        b"x" * (table.max_value_bytes + 1),
        "short",
    ]

    @table.cached(key=str)
    def text(number: int) -> str | bytes:
        return texts[number]

    assert [text(number) for number in range(3)] == texts
    assert dict(table) == {"2": "short"}
