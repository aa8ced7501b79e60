"""An outbox names each key once, keeps its order, forgets only with a mark, and loses nothing that failed."""

from __future__ import annotations

import functools
import operator
from collections import deque
from functools import partial
from typing import Never

import pytest

from dmqcache.bus.loop_steps import STEP_S
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.store.outbox.batch import Batch, Transfer
from dmqcache.store.outbox.outbox import Outbox
from dmqcache.store.table.evicting import evict
from dmqcache.store.table.floor_raising import raise_floor
from dmqcache.store.table.listener import TableListener
from dmqcache.store.table.table import Table
from tests.store.fixtures import Hands, make_table

NODE = NodeURI.parse("sip:127.0.0.2:5060")


class Carrier:
    """Takes batches and keeps them; says of those above ``largest`` cells that they are too large."""

    most_cells = 1_000_000

    def __init__(self, budget: int = 10_000) -> None:
        self.taken: list[Batch] = []
        self.first_budget = budget
        self.largest = 1_000_000

    def carry(self, outbox: Outbox, batch: Batch) -> bool:
        if batch.count > self.largest:
            return False
        self.taken.append(batch)
        return True

    def keys(self) -> list[list[str]]:
        return [[cell.key for _, cell in batch.cells] for batch in self.taken]


def make_outbox(limit: int = 100, budget: int = 10_000) -> tuple[Outbox, Carrier, Table, Hands]:
    numbers = iter(range(1, 10_000))
    listener = TableListener(lambda cell: lane.setdefault(cell.key, next(numbers)))
    table, hands = make_table(listener=listener)
    carrier = Carrier(budget)
    outbox = Outbox(NODE, carrier, hands.now, limit, lambda outbox: None)
    lane = outbox.changed_in(table)
    outbox.reopen()
    return outbox, carrier, table, hands


def test_a_change_replaces_an_unsent_older_one_of_its_key() -> None:
    outbox, carrier, table, _ = make_outbox()
    for value in "xyz":
        table["a"] = value
    table["b"] = "1"
    assert outbox.backlog() == 2
    outbox.pump()
    assert carrier.keys() == [["a", "b"]]
    assert outbox.waiting() == 2
    outbox.delivered(carrier.taken[0])
    assert outbox.waiting() == 0


def test_where_a_batch_takes_long_to_write_others_have_their_turns_before_the_next() -> None:
    outbox, carrier, table, hands = make_outbox(budget=1)
    for key in "abc":
        table[key] = "x"
    carry = carrier.carry

    def slowly(outbox: Outbox, batch: Batch) -> bool:
        hands.seconds += STEP_S * 2
        return carry(outbox, batch)

    carrier.carry = slowly  # type: ignore[method-assign]
    for count in (1, 2, 3):
        outbox.pump()
        outbox.pump()
        assert len(carrier.taken) == count and outbox.ready_in() > 0
        hands.seconds += outbox.ready_in()
    assert outbox.backlog() == 0


def test_a_key_on_its_way_waits_others_do_not() -> None:
    outbox, carrier, table, _ = make_outbox()
    table["a"] = "1"
    outbox.pump()
    table["a"] = "2"
    table["b"] = "1"
    outbox.pump()
    assert carrier.keys() == [["a"], ["b"]]
    outbox.delivered(carrier.taken[0])
    outbox.pump()
    assert carrier.keys() == [["a"], ["b"], ["a"]]


def test_a_key_need_not_wait_where_versions_decide() -> None:
    outbox, carrier, table, _ = make_outbox()
    outbox.ordered = False
    table["a"] = "1"
    outbox.pump()
    table["a"] = "2"
    outbox.pump()
    assert carrier.keys() == [["a"], ["a"]]
    outbox.delivered(carrier.taken[0])
    assert outbox.first_unacknowledged() == 2
    outbox.failed(carrier.taken[1], wait=False)
    outbox.pump()
    assert carrier.keys()[2:] == [["a"]]


def test_no_more_batches_than_the_window_are_on_their_way() -> None:
    outbox, carrier, table, _ = make_outbox(budget=1)
    outbox.window = 2
    for key in "abcde":
        table[key] = "x"
    outbox.pump()
    assert carrier.keys() == [["a"], ["b"]]
    outbox.delivered(carrier.taken[0])
    outbox.pump()
    assert carrier.keys() == [["a"], ["b"], ["c"]]


def test_batches_that_are_stuck_hold_up_no_others_and_take_no_room_from_those_after_them() -> None:
    outbox, carrier, table, _ = make_outbox(budget=1)
    outbox.window = 2
    for key in "abcde":
        table[key] = "x"
    outbox.pump()
    for batch in carrier.taken:
        batch.stuck = True
    outbox.pump()
    assert carrier.keys() == [["a"], ["b"], ["c"], ["d"]]
    stuck = carrier.taken[:2]
    outbox.shut()
    outbox.reopen()
    # Those that were on their way when the node was lost end late.
    for batch in stuck:
        outbox.failed(batch)
    outbox.pump()
    assert [len(keys) for keys in carrier.keys()[4:]] == [1, 1]


class Unread(dict[str, int]):
    """Names through which nobody may look."""

    def items(self) -> Never:
        raise AssertionError("looked through")

    __iter__ = values = items


def test_of_all_that_waits_nothing_is_looked_at_when_a_batch_fails() -> None:
    outbox, carrier, table, _ = make_outbox(budget=3 * 64)
    outbox.window = 2
    for number in range(20):
        table[f"k{number:02}"] = "x"
    outbox.pump()
    outbox.changed["t"] = Unread(outbox.changed["t"])
    table["k01"] = "y"  # It is named anew and goes once all the same.
    outbox.changed["t"].setdefault("k01", 21)
    for batch in reversed(carrier.taken):
        outbox.failed(batch, wait=False)
    outbox.changed["t"] = dict(zip(outbox.changed["t"].copy(), range(7, 30), strict=False))
    assert outbox.backlog() == 20 and outbox.first_unacknowledged() == 1
    assert all(outbox.names(table, f"k{number:02}") for number in range(20))
    outbox.pump()
    assert carrier.keys()[:2] == carrier.keys()[2:] == [["k00", "k01", "k02"], ["k03", "k04", "k05"]]


def test_a_key_that_changes_again_after_its_batch_failed_goes_once() -> None:
    outbox, carrier, table, _ = make_outbox()
    table["a"] = "1"
    outbox.pump()
    outbox.failed(carrier.taken[0], wait=False)
    table["a"] = "2"
    table["b"] = "1"
    outbox.pump()
    assert carrier.keys()[1:] == [["a", "b"]]
    outbox.delivered(carrier.taken[1])
    assert outbox.waiting() == 0 and outbox.first_unacknowledged() is None


def test_a_batch_that_failed_goes_first_after_a_pause() -> None:
    outbox, carrier, table, hands = make_outbox()
    table["a"] = "1"
    outbox.pump()
    table["b"] = "1"
    outbox.failed(carrier.taken[0])
    outbox.pump()
    assert len(carrier.taken) == 1
    hands.seconds += outbox.ready_in()
    outbox.pump()
    assert carrier.keys()[1] == ["a", "b"]


def test_a_node_that_is_away_costs_each_key_once_up_to_the_limit() -> None:
    outbox, _carrier, table, _ = make_outbox(limit=3)
    outbox.shut()
    for _ in range(3):
        for key in "abc":
            table[key] = "x"
    outbox.pump()
    assert (outbox.backlog(), outbox.overflowed) == (3, False)
    table["d"] = "x"
    outbox.pump()
    assert (outbox.backlog(), outbox.overflowed) == (0, True)


def test_what_was_on_its_way_when_the_node_went_is_sent_when_it_is_back() -> None:
    outbox, carrier, table, _ = make_outbox()
    table["a"] = "1"
    outbox.pump()
    outbox.shut()
    outbox.delivered(carrier.taken[0])
    assert outbox.backlog() == 1
    outbox.reopen()
    outbox.pump()
    assert carrier.keys()[1] == ["a"]


def test_the_oldest_unacknowledged_change_is_known() -> None:
    outbox, carrier, table, _ = make_outbox()
    assert outbox.first_unacknowledged() is None
    table["a"] = "1"
    table["b"] = "1"
    outbox.pump()
    table["c"] = "1"
    assert outbox.first_unacknowledged() == 1
    outbox.delivered(carrier.taken[0])
    assert outbox.first_unacknowledged() == 3


def test_a_repairs_cells_follow_the_changes_and_say_when_they_are_done() -> None:
    outbox, carrier, table, _ = make_outbox(budget=120)
    for key in "abc":
        table[key] = "x"
    outbox.pump()
    done: list[bool] = []
    for batch in list(carrier.taken):
        outbox.delivered(batch)
    carrier.taken.clear()
    cells = deque(table.cells.values())
    outbox.add_transfer(Transfer(table, cells, lambda: done.append(True)))
    table["z"] = "1"
    outbox.pump()
    assert carrier.keys()[0] == ["z"]
    assert sorted(functools.reduce(operator.iadd, carrier.keys(), [])) == ["a", "b", "c", "z"]
    for batch in carrier.taken[:-1]:
        outbox.delivered(batch)
    assert not done
    outbox.delivered(carrier.taken[-1])
    assert done == [True]


def test_a_repairs_cells_that_were_not_acknowledged_go_again() -> None:
    outbox, carrier, table, hands = make_outbox()
    table["a"] = "x"
    outbox.pump()
    outbox.delivered(carrier.taken.pop())
    done: list[bool] = []
    outbox.add_transfer(Transfer(table, deque(table.cells.values()), lambda: done.append(True)))
    outbox.pump()
    outbox.failed(carrier.taken[0])
    hands.seconds += 10
    outbox.pump()
    assert carrier.keys() == [["a"], ["a"]]
    outbox.delivered(carrier.taken[1])
    assert done == [True]


@pytest.mark.parametrize(("stays", "told"), [(True, [True]), (False, [])])
def test_a_repairs_cells_that_a_flush_killed_under_way_need_not_go_again(
    stays: bool, told: list[bool]
) -> None:
    """Whoever goes away meanwhile is done with no repair."""
    outbox, carrier, table, _ = make_outbox()
    table["a"] = "x"
    outbox.pump()
    outbox.delivered(carrier.taken.pop())
    done: list[bool] = []
    cells = deque(table.cells.values())
    raise_floor(table, table.cells["a"].stamp)
    outbox.add_transfer(Transfer(table, cells, lambda: done.append(True)))
    outbox.pump()
    outbox.failed(carrier.taken[0]) if stays else outbox.shut()
    assert done == told and not outbox.transfers


def test_a_key_whose_cell_a_flush_took_away_is_still_told() -> None:
    outbox, carrier, table, _ = make_outbox()
    outbox.changed_in(table).setdefault("gone", 1)
    outbox.pump()
    assert [list(batch.names["t"]) for batch in carrier.taken] == [["gone"]]
    assert outbox.waiting() == 1
    outbox.delivered(carrier.taken[0])
    assert outbox.waiting() == 0


def test_a_batch_that_no_message_holds_goes_in_smaller_ones_in_order() -> None:
    outbox, carrier, table, _ = make_outbox()
    carrier.largest = 3
    for key in "abcdefgh":
        table[key] = "x"
    outbox.pump()
    went = carrier.keys()
    assert functools.reduce(operator.add, went) == list("abcdefgh")
    assert max(map(len, went)) <= 3


def test_the_next_batch_is_foreseen_by_the_bytes_of_the_last() -> None:
    outbox, carrier, table, _ = make_outbox(budget=64 * 4)

    def carry(outbox: Outbox, batch: Batch) -> bool:
        batch.size = batch.count * 1_000
        return Carrier.carry(carrier, outbox, batch)

    carrier.carry = carry  # type: ignore[method-assign]
    for number in range(20):
        table[f"k{number}"] = "x"
    outbox.pump()
    assert list(map(len, carrier.keys())) == [4, 1, 1, 1]


def test_a_node_that_has_taken_nothing_yet_is_not_counted_and_not_waited_for() -> None:
    outbox, carrier, table, _ = make_outbox()
    assert not outbox.counts and not outbox.acknowledged(0)
    table["a"] = "x"
    outbox.pump()
    assert outbox.counts and not outbox.acknowledged(1)
    outbox.proven = True
    outbox.delivered(carrier.taken[0])
    assert outbox.counts and outbox.acknowledged(1)
    outbox.shut()
    outbox.reopen()
    assert not outbox.counts


def test_what_is_evicted_while_it_waits_to_be_given_is_not_told_as_deleted() -> None:
    outbox, carrier, table, _ = make_outbox()
    for key in "abc":
        table.set(key, "x")
    outbox.changed_in(table).clear()
    cells = [table.cells[key] for key in "abc"]
    outbox.add_transfer(Transfer(table, deque(cells), lambda: None))
    evict(table, cells[1])
    outbox.pump()
    assert carrier.keys() == [["a", "c"]]


def test_the_end_of_a_transfer_looks_at_no_cell_of_another_table() -> None:
    outbox, carrier, table, _ = make_outbox()
    other, _ = make_table()
    ended: list[str] = []
    for number, one in enumerate((table, other)):
        one.set("a", "x")
        one.tick = 7
        outbox.add_transfer(Transfer(one, deque([one.cells["a"]]), partial(ended.append, str(number))))
    outbox.changed_in(table).clear()
    outbox.pump()
    outbox.delivered(carrier.taken[1])
    assert ended == ["1"] and [one.cells["a"].used for one in (table, other)] == [0, 0]
