"""When a counter of the least version is newer than a tombstone."""

from __future__ import annotations

import random

import pytest

from dmqcache.store.table.beginnings import follows, is_beginning, is_begun_since
from dmqcache.store.table.cell import EXPIRED, Cell
from dmqcache.store.table.clock import version_at
from dmqcache.store.table.counts import Counts, Share
from dmqcache.store.table.merge import Arrivals
from dmqcache.store.table.row import Row
from tests.store.fixtures import Hands, make_arrivals, rows_of

LEAST = 1
DIED = version_at(1_000_000)
TTL = 3_000
REMEMBERED = version_at(900_000)
#: Seeds in which two nodes told each other of an end and of a beginning at once, and each believed the other.
CROSSED = (2355, 2985, 10837, 11372, 11473, 12335, 13513, 15275, 15605, 15678, 18566)


def shares(milliseconds: int) -> dict[str, Share]:
    """Counted so long after what died was written."""
    return {"sip:127.0.0.11:5060#a": Share(DIED + version_at(milliseconds), 1)}


def both(flags: int, milliseconds: int, stamp: int = LEAST) -> bool:
    """What either side says, which must be the same."""
    dead = Cell("n", 1, None, DIED, TTL, flags=flags)
    counted = shares(milliseconds)
    row = Row("n", 0, stamp, 0, 0, 0, counted)
    tombstone = Row("n", None, DIED, TTL, 0, flags)
    comes = is_beginning(dead, row, counted, LEAST, REMEMBERED)
    counter = Cell("n", 1, 1, stamp, counts=Counts(0, counted))
    assert comes == is_begun_since(counter, tombstone, LEAST, REMEMBERED)
    return comes


@pytest.mark.parametrize(("flags", "milliseconds"), [(EXPIRED, TTL), (0, 900_000)])
def test_it_is_when_it_was_counted_after_the_end_was_over_or_forgotten(flags: int, milliseconds: int) -> None:
    assert both(flags, milliseconds + 1)
    assert not both(flags, milliseconds)


def test_a_counter_that_follows_on_something_that_was_set_is_judged_by_that() -> None:
    assert not both(EXPIRED, TTL + 1, stamp=LEAST + 1)


def test_a_counter_follows_on_one_that_was_over_and_of_which_it_knows_nothing() -> None:
    earlier = {"sip:127.0.0.12:5060#b": Share(DIED, 1)}
    assert follows(shares(TTL + 1), earlier, TTL)
    assert not follows(shares(TTL), earlier, TTL)
    assert not follows({**shares(TTL + 1), **earlier}, earlier, TTL)
    assert not follows({}, earlier, TTL)


def tell(one: Arrivals, other: Arrivals, rows: list[Row], again: int = 4) -> None:
    """One tells these rows, and the other answers with what it has that is newer."""
    if rows and again and other.merge_rows(rows, "one"):
        tell(other, one, held(other), again - 1)


def held(side: Arrivals) -> list[Row]:
    return rows_of(side.table, "n") if "n" in side.table.cells else []


def act(chance: random.Random, sides: list[Arrivals], hands: Hands, step: int) -> None:
    number = chance.randrange(len(sides))
    table = sides[number].table
    what = chance.choice(
        ["set", "set", "incr", "incr", "expire", "delete", "time", "time", "tell", "fresh", "sweep"]
    )
    if what == "set":
        table.set("n", chance.choice(["x", 7]), chance.choice([0, 5, 20]))
    elif what == "incr" and not isinstance(table.get("n"), str):
        table.incr("n")
    elif what == "expire":
        table.expire("n", chance.choice([5, 20]))
    elif what == "delete":
        table.delete("n")
    elif what == "time":
        hands.seconds += chance.choice([0.001, 3, 6, 21])
    elif what == "tell":
        tell(sides[number], sides[number - 1], held(sides[number]))
    elif what == "fresh":
        sides[number] = make_arrivals("t", hands, identity=f"fresh{step}")[0]
    elif what == "sweep":
        table.sweep(10)


def shown_in_the_end(seed: int) -> list[object]:
    chance, hands = random.Random(seed), Hands()
    sides = [make_arrivals("t", hands, identity=f"n{number}")[0] for number in range(3)]
    for step in range(chance.randint(4, 14)):
        act(chance, sides, hands, step)
    for _ in range(6):
        for one, other in chance.sample([(0, 1), (0, 2), (1, 2)], 3):
            mine, its = held(sides[one]), held(sides[other])
            tell(sides[one], sides[other], mine)
            tell(sides[other], sides[one], its)
    return [side.table.get("n") for side in sides]


def test_whatever_was_set_counted_and_over_and_told_in_any_order_all_end_alike() -> None:
    for seed in (*range(500), *CROSSED):
        shown = shown_in_the_end(seed)
        assert shown == [shown[0]] * 3, seed
