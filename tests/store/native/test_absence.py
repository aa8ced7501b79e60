"""Who was off for so long that others forgot deletes gives its cells up, and never do both."""

from __future__ import annotations

from itertools import product

import pytest

from dmqcache.store.native.absence import SLACK_MS, learn, may_exchange
from dmqcache.store.native.native_message import Summary
from dmqcache.store.native.replica import summary_of
from dmqcache.store.table.cell import NEVER
from dmqcache.store.table.clock import MAX_STAMP, version_at
from dmqcache.store.table.table import Table
from tests.store.fixtures import Hands, make_table

HOUR = version_at(3_600_000)


def table_of(hands: Hands, known_h: float = 0, forgot_h: float = 0) -> Table:
    """A table with one cell, that had heard of all until so many hours ago, and forgot a delete of then."""
    table, _ = make_table(hands=hands)
    table.set("a", "x")
    now = table.clock.version()
    table.known = now - int(known_h * HOUR) if known_h else 0
    table.forgot = now - int(forgot_h * HOUR) if forgot_h else 0
    hands.seconds += 1
    return table


def meet(one: Table, one_ready: bool, other: Table, other_ready: bool) -> tuple[bool, bool]:
    """Each looks at what the other said before either acted: the hardest case."""
    ones, others = summary_of(one, []), summary_of(other, [])
    return may_exchange(one, one_ready, others, other_ready), may_exchange(
        other, other_ready, ones, one_ready
    )


def test_after_a_short_absence_nothing_is_given_up() -> None:
    hands = Hands()
    back, stayed = table_of(hands, known_h=0.01), table_of(hands, forgot_h=0.3)
    back.cells["a"].stamp -= HOUR
    assert meet(back, False, stayed, True) == (True, True)
    assert len(back) == len(stayed) == 1


def test_after_a_long_one_the_cells_from_disk_are_and_what_was_written_since_is_not() -> None:
    hands = Hands()
    back, stayed = table_of(hands), table_of(hands, forgot_h=0.5)
    back.known = back.clock.version() - 2 * HOUR
    back.cells["a"].stamp = back.known - 5
    back.set("new", "y")
    back.touched = {}
    assert meet(back, False, stayed, True) == (True, False)
    assert list(back) == ["new"]
    assert "a" in back.touched and back.known == 0
    # Asked again, the other sees that.
    assert may_exchange(stayed, True, summary_of(back, []), False)


def test_what_both_hold_alike_is_not_given_up() -> None:
    """It would be gone until the next comparison, and the node would say ready without it."""
    hands = Hands()
    (back, _), (stayed, _) = make_table(hands=hands), make_table(hands=hands)
    now = back.clock.version()
    for table in (back, stayed):
        table.enter("a", "x", now - 3 * HOUR, 0, NEVER, 0)
    back.known, stayed.forgot = now - 2 * HOUR, now - HOUR
    assert summary_of(back, []).root == summary_of(stayed, []).root
    assert meet(back, False, stayed, True) == (True, True)
    assert list(back) == list(stayed) == ["a"]


def test_a_node_that_serves_gives_up_its_stale_cells_for_one_that_starts_and_knows_better() -> None:
    hands = Hands()
    alone, later = table_of(hands, known_h=3), table_of(hands, known_h=0.1, forgot_h=1)
    alone.cells["a"].stamp = alone.known - 1
    assert meet(alone, True, later, False) == (True, False)
    assert (len(alone), len(later)) == (0, 1)


@pytest.mark.parametrize(("one_ready", "other_ready"), list(product([False, True], repeat=2)))
@pytest.mark.parametrize(("known", "other_known"), list(product([0, 0.2, 3], repeat=2)))
@pytest.mark.parametrize(("forgot", "other_forgot"), list(product([0, 0.1, 2], repeat=2)))
def test_never_do_both_give_up_and_nobody_waits_for_ever(
    one_ready: bool, other_ready: bool, known: float, other_known: float, forgot: float, other_forgot: float
) -> None:
    hands = Hands()
    one, other = table_of(hands, known, forgot), table_of(hands, other_known, other_forgot)
    one.cells["a"].stamp = other.cells["a"].stamp = 1
    may = meet(one, one_ready, other, other_ready)
    assert len(one) + len(other) > 0
    # Who is not there yet, with nothing to show for it, is waited for; all others go on at the next meeting.
    waits = not (one_ready or known) or not (other_ready or other_known)
    assert waits or all(may) or all(meet(one, one_ready, other, other_ready))


def test_what_a_ready_node_knows_one_knows_after_a_comparison() -> None:
    hands = Hands()
    table = table_of(hands, known_h=1)
    learn(table, Summary(0, 0, 2, forgot=5))
    assert (table.known, table.forgot) == (0, 5)
    learn(table, Summary(0, 0, 2, forgot=3))
    assert table.forgot == 5


def test_a_future_that_somebody_claims_to_have_forgotten_is_not_believed() -> None:
    hands = Hands()
    table = table_of(hands, known_h=1)
    lie = Summary(0, 0, 2, forgot=MAX_STAMP)
    assert may_exchange(table, False, lie, True)
    learn(table, lie)
    assert (len(table), table.forgot) == (1, 0)


def test_clocks_that_differ_make_a_node_rather_too_careful() -> None:
    hands = Hands()
    back, stayed = table_of(hands, known_h=1), table_of(hands, forgot_h=1)
    back.cells["a"].stamp = 1
    stayed.forgot -= version_at(SLACK_MS // 2)
    may_exchange(back, False, summary_of(stayed, []), True)
    assert len(back) == 0
