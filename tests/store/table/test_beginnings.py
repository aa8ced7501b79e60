"""When a counter of the least version is newer than a tombstone."""

from __future__ import annotations

import pytest

from dmqcache.store.table.beginnings import follows, is_beginning, is_begun_since
from dmqcache.store.table.cell import EXPIRED, Cell
from dmqcache.store.table.clock import version_at
from dmqcache.store.table.counts import Counts, Share
from dmqcache.store.table.row import Row

LEAST = 1
DIED = version_at(1_000_000)
TTL = 3_000
REMEMBERED = version_at(900_000)


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
    assert comes == is_begun_since(Counts(0, counted), stamp, tombstone, LEAST, REMEMBERED)
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
