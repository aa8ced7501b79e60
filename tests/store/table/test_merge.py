"""What comes from other nodes: rows of dmqcache nodes in any order, writes of Kamailio nodes as they come."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmqcache.store.kamailio.writes import KamailioArrivals
from dmqcache.store.table.cell import EXPIRED, MAX_TTL_S
from dmqcache.store.table.checks import MAX_KEY_LENGTH
from dmqcache.store.table.clock import version_at
from dmqcache.store.table.counts import Share
from dmqcache.store.table.floor_raising import raise_floor
from dmqcache.store.table.listener import TableListener
from dmqcache.store.table.merge import NEXT_MS, Arrivals
from dmqcache.store.table.row import Row
from dmqcache.store.table.table import Table
from tests.store.fixtures import Hands, make_arrivals, rows_of


def shown(table: Table) -> dict[str, object]:
    return {cell.key: (cell.value, cell.last_modified()) for cell in table.cells.values()}


def test_a_row_brings_value_version_and_time() -> None:
    one, hands = make_arrivals()
    two, _ = make_arrivals(hands=hands)
    one.table.set("a", "x", ttl=10)
    one.table["n"] = 5
    hands.seconds += 4
    assert two.merge_rows(rows_of(one.table, "a", "n"), "one") == []
    assert (two.table["a"], two.table["n"]) == ("x", 5)
    assert two.table.ttl("a") == 6
    assert two.table.ttl("n") is None
    assert shown(two.table) == shown(one.table)
    assert two.table.digest.leaves == one.table.digest.leaves


def test_bytes_that_are_no_utf8_come_through() -> None:
    one, hands = make_arrivals()
    two, _ = make_arrivals(hands=hands)
    one.table["k\udcff"] = b"\xff\x00\xe9"
    two.merge_rows(rows_of(one.table, "k\udcff"), "one")
    assert shown(two.table) == shown(one.table)


def test_a_plain_row_of_an_unknown_key_is_kept_with_its_writer_and_told_to_who_watches() -> None:
    one, hands = make_arrivals()
    one.table["a"], one.table["n"] = "x", 5
    rows = rows_of(one.table, "a", "n")
    plain, _ = make_arrivals(hands=hands)
    watched, _ = make_arrivals(hands=hands)
    told: list[str] = []
    watched.table.tell_touches(lambda key, events: told.append(key))
    for two in (plain, watched):
        assert two.merge_rows(rows, "one") == []
        assert shown(two.table) == shown(one.table)
        assert {cell.writer for cell in two.table.cells.values()} == {"one"}
        assert two.table.digest.leaves == one.table.digest.leaves
        assert two.table.live == 2 and two.counters.changes["t", "dmqcache"] == 2
    assert told == ["a", "n"]


def test_an_older_row_changes_nothing_and_is_named() -> None:
    one, hands = make_arrivals()
    two, _ = make_arrivals(hands=hands)
    one.table["a"] = "old"
    old = rows_of(one.table, "a")
    hands.seconds += 1
    two.table["a"] = "new"
    assert two.merge_rows(old, "one") == ["a"]
    assert two.table["a"] == "new"
    assert two.counters.refused["t", "older"] == 1


def test_a_late_duplicate_of_an_older_set_does_not_undo_a_delete() -> None:
    one, hands = make_arrivals()
    two, _ = make_arrivals(hands=hands)
    one.table["a"] = "x"
    late = rows_of(one.table, "a")
    two.merge_rows(rows_of(one.table, "a"), "one")
    hands.seconds += 1
    one.table.delete("a")
    two.merge_rows(rows_of(one.table, "a"), "one")
    two.merge_rows(late, "one")
    assert "a" not in two.table


def test_increments_of_two_nodes_are_added_up() -> None:
    one, hands = make_arrivals(identity="one")
    two, _ = make_arrivals(hands=hands, identity="two")
    for _ in range(3):
        one.table.incr("n")
        two.table.incr("n", 10)
    first, second = rows_of(one.table, "n"), rows_of(two.table, "n")
    one.merge_rows(second, "two")
    two.merge_rows(first, "one")
    assert one.table["n"] == two.table["n"] == 33
    assert one.table.digest.leaves == two.table.digest.leaves
    assert one.table.incr("n") == 34


def test_increments_after_a_set_start_from_it_on_all() -> None:
    one, hands = make_arrivals(identity="one")
    two, _ = make_arrivals(hands=hands, identity="two")
    one.table["n"] = 100
    two.merge_rows(rows_of(one.table, "n"), "one")
    one.table.incr("n")
    two.table.incr("n", 5)
    one.merge_rows(rows_of(two.table, "n"), "two")
    assert one.table["n"] == 106


def test_a_counter_that_ended_elsewhere_begins_anew_on_all() -> None:
    one, hands = make_arrivals("t=>autoexpire=10", identity="one")
    two, _ = make_arrivals("t=>autoexpire=10", hands=hands, identity="two")
    one.table.incr("n", 7)
    two.merge_rows(rows_of(one.table, "n"), "one")
    hands.seconds += 11
    assert (one.table.incr("n"), two.table.incr("n")) == (1, 1)
    one.merge_rows(rows_of(two.table, "n"), "two")
    two.merge_rows(rows_of(one.table, "n"), "one")
    assert one.table["n"] == two.table["n"] == 2


def test_an_ended_counter_comes_back_with_increments_made_in_time_elsewhere() -> None:
    one, hands = make_arrivals("t=>autoexpire=10", identity="one")
    two, _ = make_arrivals("t=>autoexpire=10", hands=hands, identity="two")
    one.table.incr("n", 7)
    two.merge_rows(rows_of(one.table, "n"), "one")
    hands.seconds += 8
    two.table.incr("n")
    hands.seconds += 4
    assert "n" not in one.table
    one.merge_rows(rows_of(two.table, "n"), "two")
    assert one.table["n"] == 8


def test_a_tombstone_of_an_ended_cell_kills_no_rival_of_its_version() -> None:
    one, _hands = make_arrivals()
    one.table.set("a", "x", ttl=10)
    cell = one.table.cells["a"]
    ended = Row("a", None, cell.stamp, cell.ttl - 1, 0, EXPIRED)
    one.merge_rows([ended], "two")
    assert one.table["a"] == "x"


def test_one_write_that_was_told_with_different_times_left_is_over_on_all_with_the_first() -> None:
    expired: list[str] = []
    here, hands = make_arrivals(identity="here")
    listener = TableListener(expired=lambda cell: expired.append(cell.key))
    there, _ = make_arrivals(hands=hands, identity="there", listener=listener)
    version = here.table.clock.version()
    here.merge_rows([Row("a", "x", version, 60_000, 1)], "two")
    there.merge_rows([Row("a", "x", version, 60_000, 60_000)], "two")
    hands.seconds += 1
    here.table.sweep(10)
    assert here.merge_rows(rows_of(there.table, "a"), "there") == ["a"]
    there.merge_rows(rows_of(here.table, "a"), "here")
    assert "a" not in here.table and "a" not in there.table and expired == ["a"]


def test_a_row_that_came_late_has_no_more_time_than_the_same_one_told_later() -> None:
    one, hands = make_arrivals()
    version = one.table.clock.version()
    hands.seconds += 16
    one.merge_rows([Row("a", "x", version, 60_000, 60_000)], "two")
    assert one.table.ttl("a") == 60
    one.merge_rows([Row("a", "x", version, 60_000, 44_000)], "two")
    assert one.table.ttl("a") == 44
    one.merge_rows([Row("a", "x", version, 60_000, 50_000)], "three")
    assert one.table.ttl("a") == 44
    hands.seconds += 44
    assert one.table.sweep(10) == 1
    assert "a" not in one.table


def test_what_is_too_far_ahead_is_refused_by_name_and_the_rest_of_the_message_is_taken() -> None:
    one, _hands = make_arrivals()
    limit = one.table.clock.limit()
    rows = [
        Row("good", "x", limit),
        Row("a", "x", limit + 1),
        Row("b", None, limit + 1),
        Row("c", 1, limit + 1, shares={}),
        Row("d", 1, 5, shares={"x": Share(limit + 1, 2)}),
        Row("fine", "x", 5),
    ]
    assert one.merge_rows(rows, "two") == []
    assert set(one.table.cells) == {"good", "fine"}
    assert one.counters.refused["t", "future"] == 4
    assert one.ahead


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (Row("k" * (MAX_KEY_LENGTH + 1), "x", 5), "bad_key"),
        (Row("a", "x", 5, 1000 * MAX_TTL_S + 1, 1), "bad_ttl"),
        (Row("a", "x", 5, 1000, 1001), "bad_ttl"),
        (Row("a", "x", 5, 0, 1), "bad_ttl"),
    ],
)
def test_a_row_that_cannot_be_is_refused_by_name_and_said_once(
    row: Row, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    one, _hands = make_arrivals()
    for _ in range(2):
        assert one.merge_rows([row, Row("good", "x", 5)], "two") == []
    assert set(one.table.cells) == {"good"}
    assert one.counters.refused["t", reason] == 2
    assert not one.ahead
    assert len(caplog.records) == 1 and reason in caplog.text and len(caplog.text) < 400


def test_what_other_nodes_refused_is_dated_as_written_now_once_the_clock_is_right() -> None:
    told: list[str] = []
    here, hands = make_arrivals(listener=TableListener(lambda cell: told.append(cell.key)))
    there, _ = make_arrivals(hands=hands, identity="there")
    hands.jump_ms = 3_600_000
    here.table["a"] = "x"
    here.table.incr("n", 5)
    here.table["gone"] = "x"
    here.table.delete("gone")
    hands.jump_ms = 0
    rows = rows_of(here.table, "a", "n", "gone")
    there.table["a"] = "older"
    assert there.merge_rows(rows, "here") == [] and there.ahead
    assert there.table["a"] == "older"
    hands.seconds += 1
    told.clear()
    assert here.table.redate() == 3
    assert sorted(told) == ["a", "gone", "n"]
    assert there.merge_rows(rows_of(here.table, "a", "n", "gone"), "here") == []
    assert (there.table["a"], there.table["n"], there.table.get("gone")) == ("x", 5, None)
    assert here.table.digest.node(0, 0) == there.table.digest.node(0, 0)
    assert here.table.redate() == 0


def test_a_flush_that_other_nodes_refused_is_one_of_now_once_the_clock_is_right() -> None:
    flushed: list[Iterator[list[str]]] = []
    here, hands = make_arrivals(listener=TableListener(flushed=flushed.append))
    hands.jump_ms = 3_600_000
    here.table.flush()
    here.table["a"] = "after"
    hands.jump_ms = 0
    flushed.clear()
    here.table.redate()
    assert [list(apart) for apart in flushed] == [[]]
    assert here.table.floor < here.table.clock.version()
    assert here.table["a"] == "after"
    assert here.table.cells["a"].stamp > here.table.floor


def set_back_together() -> tuple[Arrivals, Arrivals, Hands]:
    """Two nodes that hold the same, dated by clocks that were an hour ahead until now."""
    one, hands = make_arrivals(identity="one")
    two, _ = make_arrivals(hands=hands, identity="two")
    hands.jump_ms = 3_600_000
    for arrivals in (one, two):
        arrivals.table.clock.correct()
    one.table["a"] = one.table["gone"] = "old"
    one.table.incr("n", 5)
    two.merge_rows(rows_of(one.table, "a", "gone", "n"), "one")
    hands.seconds += 5
    hands.jump_ms = 0
    return one, two, hands


def test_what_follows_on_a_state_that_lies_ahead_is_believed_by_who_holds_the_same() -> None:
    one, two, _ = set_back_together()
    one.table["a"] = "new"
    one.table.delete("gone")
    one.table.incr("n", 2)
    assert two.merge_rows(rows_of(one.table, "a", "gone", "n"), "one") == []
    assert not two.ahead
    assert (two.table["a"], two.table.get("gone"), two.table["n"]) == ("new", None, 7)
    assert one.table.digest.node(0, 0) == two.table.digest.node(0, 0)


def test_a_version_far_above_a_state_that_lies_ahead_is_refused_all_the_same() -> None:
    _, two, _ = set_back_together()
    stamp = two.table.cells["a"].stamp + version_at(NEXT_MS) + 1
    assert two.merge_rows([Row("a", "x", stamp), Row("b", "x", stamp)], "three") == []
    assert two.ahead and two.table["a"] == "old" and "b" not in two.table


@pytest.mark.parametrize("flushed", [False, True])
def test_nodes_that_date_the_same_anew_one_after_another_undo_no_write_between(flushed: bool) -> None:
    one, two, hands = set_back_together()
    if flushed:
        hands.jump_ms = 3_600_000
        one.table.flush()
        raise_floor(two.table, one.table.floor)
        one.table["a"] = one.table["gone"] = "old"
        one.table.incr("n", 5)
        two.merge_rows(rows_of(one.table, "a", "gone", "n"), "one")
        hands.jump_ms = 0
    assert one.table.redate() == 3
    one.table["a"] = "new"
    one.table.delete("gone")
    one.table.incr("n", 2)
    rows = rows_of(one.table, "a", "gone", "n")
    hands.seconds += 5
    assert two.merge_rows(rows, "one") == []
    assert (two.table["a"], two.table.get("gone"), two.table["n"]) == ("new", None, 7)
    one.merge_rows(rows_of(two.table, "a", "gone", "n"), "two")
    assert (one.table["a"], one.table.get("gone"), one.table["n"]) == ("new", None, 7)
    assert one.table.digest.node(0, 0) == two.table.digest.node(0, 0)
    assert one.table.floor == two.table.floor


def test_nothing_below_a_flush_comes_back() -> None:
    one, hands = make_arrivals()
    two, _ = make_arrivals(hands=hands)
    one.table["a"] = "x"
    rows = rows_of(one.table, "a")
    two.table.flush()
    assert two.merge_rows(rows, "one") == ["a"]
    assert "a" not in two.table


@given(
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from("ab"), st.integers(0, 9)), max_size=12),
    st.integers(),
)
def test_nodes_agree_whatever_the_order_of_rows(writes: list[tuple[int, str, int]], seed: int) -> None:
    hands = Hands()
    nodes = [make_arrivals(hands=hands, identity=f"n{number}")[0] for number in range(3)]
    rows: list[Row] = []
    for node, key, number in writes:
        table = nodes[node].table
        if number == 0:
            table.delete(key)
        elif number < 4 and not isinstance(table.get(key, 0), str):
            table.incr(key, number)
        elif number < 7:
            table.set(key, f"v{number}")
        else:
            hands.seconds += 0.001
        if key in table.cells:
            rows += rows_of(table, key)
    chance = random.Random(seed)
    for arrivals in nodes:
        mixed = rows * 2
        chance.shuffle(mixed)
        arrivals.merge_rows([copied(row) for row in mixed], "somebody")
    assert shown(nodes[0].table) == shown(nodes[1].table) == shown(nodes[2].table)
    assert nodes[0].table.digest.leaves == nodes[1].table.digest.leaves == nodes[2].table.digest.leaves


def copied(row: Row) -> Row:
    return Row(row.key, row.value, row.stamp, row.ttl, row.left, row.flags, row.shares and dict(row.shares))


# -- Kamailio --------------------------------------------------------------------------------------------


def test_an_increment_made_in_time_elsewhere_brings_a_dead_number_back() -> None:
    here, hands = make_arrivals("t=>autoexpire=60", identity="here")
    there, _ = make_arrivals("t=>autoexpire=60", hands, identity="there")
    here.table.set("k", 5, ttl=3)
    there.merge_rows(rows_of(here.table, "k"), "here")
    hands.seconds += 2
    there.table.incr("k", -3)
    hands.seconds += 2
    assert "k" not in here.table
    here.merge_rows(rows_of(there.table, "k"), "there")
    assert here.table["k"] == 2
    assert here.table.digest.node(0, 0) == there.table.digest.node(0, 0)


def test_rivals_of_one_version_are_settled_alike_though_the_time_of_one_is_over() -> None:
    """A cell that died here lost against one that lives longer, whether that came before or after."""
    for early in (False, True):
        here, hands = make_arrivals(identity="here")
        there, _ = make_arrivals(hands=hands, identity="there")
        here.table.set("a", 24, ttl=0.5)
        there.table.set("a", "v26", ttl=1_000)
        assert here.table.cells["a"].stamp == there.table.cells["a"].stamp
        if early:
            here.merge_rows(rows_of(there.table, "a"), "there")
        hands.seconds += 1
        here.table.sweep(10)
        told = here.merge_rows(rows_of(there.table, "a"), "there")
        assert here.table["a"] == "v26" and told == []
        there.merge_rows(rows_of(here.table, "a"), "here")
        assert there.table["a"] == "v26"
        assert here.table.digest.leaves == there.table.digest.leaves


def test_a_cell_that_is_over_does_not_come_back_from_a_node_where_it_is_not_yet() -> None:
    here, hands = make_arrivals(identity="here")
    slow, slow_hands = make_arrivals(identity="slow")
    here.table.set("a", "x", ttl=5)
    slow.merge_rows(rows_of(here.table, "a"), "here")
    hands.seconds += 5
    slow_hands.seconds += 4.9
    here.table.sweep(10)
    assert here.merge_rows(rows_of(slow.table, "a"), "slow") == ["a"]
    assert "a" not in here.table
    assert slow.merge_rows(rows_of(here.table, "a"), "here") == []
    assert "a" not in slow.table


def pair(declared: str = "t") -> tuple[KamailioArrivals, KamailioArrivals, Hands]:
    here, hands = make_arrivals(declared, identity="here")
    there, _ = make_arrivals(declared, hands, identity="there")
    return here, there, hands


def exchange(one: KamailioArrivals, other: KamailioArrivals, key: str = "n") -> None:
    """Both tell, as after a cut; then once more what is newer."""
    rows = {side: rows_of(side.table, key) if key in side.table.cells else [] for side in (one, other)}
    one.merge_rows(rows[other], "other")
    other.merge_rows(rows[one], "one")
    one.merge_rows(rows_of(other.table, key), "other")
    other.merge_rows(rows_of(one.table, key), "one")


def test_a_counter_that_is_begun_anew_long_after_it_was_over_does_not_bring_the_old_sum_back() -> None:
    here, there, hands = pair("t=>autoexpire=20")
    for number in range(50):
        (here, there)[number % 2].table.incr("n")
    exchange(here, there)
    hands.seconds += 910
    for side in (here, there):
        side.table.sweep(10)
    for expected in (1, 2, 3):
        assert here.table.incr("n") == expected
        exchange(here, there)
        assert here.table["n"] == there.table["n"] == expected


def test_a_node_that_started_after_a_counter_was_over_begins_it_for_all() -> None:
    here, there, hands = pair("t=>autoexpire=20")
    here.table.incr("n", 50)
    there.table.incr("n", 100)
    exchange(here, there)
    hands.seconds += 21
    fresh, _ = make_arrivals("t=>autoexpire=20", hands, identity="fresh")
    fresh.table.incr("n")
    exchange(fresh, here)
    exchange(fresh, there)
    assert [side.table.get("n") for side in (fresh, here, there)] == [1, 1, 1]


@pytest.mark.parametrize("before", ["x", 7])
@pytest.mark.parametrize("ended", [True, False])
def test_so_it_does_after_another_value_whose_time_was_over(before: str | int, ended: bool) -> None:
    """Nobody tells a node that starts of what was over before. ``ended``: those who know have noticed."""
    here, there, hands = pair()
    here.table.set("n", before, 20)
    exchange(here, there)
    hands.seconds += 21
    if ended:
        here.table.sweep(10)
    fresh, _ = make_arrivals("t", hands, identity="fresh")
    fresh.table.incr("n")
    exchange(fresh, here)
    exchange(there, fresh)
    assert [side.table.get("n") for side in (fresh, here, there)] == [1, 1, 1]


@pytest.mark.parametrize("before", ["counted upon a number", "counted", "set"])
def test_so_it_does_when_it_hears_of_what_was_over_first(before: str) -> None:
    here, _, hands = pair()
    if before != "counted":
        here.table.set("n", 7)
    if before != "set":
        here.table.incr("n")
    here.table.expire("n", 20)
    hands.seconds += 21
    here.table.sweep(10)
    fresh, _ = make_arrivals("t", hands, identity="fresh")
    fresh.table.incr("n")
    over = rows_of(here.table, "n")
    assert fresh.merge_rows(over, "here") == ["n"]
    here.merge_rows(rows_of(fresh.table, "n"), "fresh")
    assert here.table.get("n") == fresh.table.get("n") == 1


@pytest.mark.parametrize("told", ["the one that lives", "the one that is over"])
def test_a_counter_that_came_late_is_over_with_the_first(told: str) -> None:
    here, there, hands = pair("t=>autoexpire=20")
    here.table.incr("n")
    late = rows_of(here.table, "n")
    hands.seconds += 15
    there.merge_rows(late, "here")
    assert there.table.ttl("n") == 20
    if told == "the one that is over":
        hands.seconds += 6
        here.table.sweep(10)
        assert here.merge_rows(rows_of(there.table, "n"), "there") == ["n"]
    there.merge_rows(rows_of(here.table, "n"), "here")
    assert here.table.get("n") == there.table.get("n") == (1 if told == "the one that lives" else None)
    assert told == "the one that is over" or there.table.ttl("n") == 5


def test_a_counter_of_which_nobody_knew_is_over_with_what_was_set_elsewhere_meanwhile() -> None:
    here, there, hands = pair()
    here.table.set("n", "x", 20)
    there.table.incr("n")
    hands.seconds += 21
    exchange(here, there)
    assert here.table.get("n") is there.table.get("n") is None


def test_a_counter_that_was_begun_when_its_delete_was_forgotten_is_not_lost() -> None:
    here, there, hands = pair()
    here.table.incr("n", 5)
    exchange(here, there)
    here.table.delete("n")
    exchange(here, there)
    hands.seconds += here.table.limits.tombstone_ttl * 1.1 + 1
    assert here.table.collect(10, held=False) == 1
    here.table.incr("n", 100)
    exchange(here, there)
    assert here.table["n"] == there.table["n"] == 100


def test_a_counter_of_a_moment_ago_does_not_survive_its_delete() -> None:
    here, there, hands = pair()
    here.table.incr("n", 5)
    exchange(here, there)
    there.table.incr("n", 5)
    hands.seconds += 1
    here.table.delete("n")
    exchange(here, there)
    assert here.table.get("n") is there.table.get("n") is None


def test_a_time_to_live_does_not_end_a_counter_that_is_counted_elsewhere() -> None:
    here, there, hands = pair()
    for side in (here, there):
        side.table.incr("n", 10)
        side.table.expire("n", 60)
    here.table.incr("n")
    exchange(here, there)
    assert here.table["n"] == there.table["n"] == 21
    assert here.table.ttl("n") == there.table.ttl("n") == 60
    there.table.incr("n")
    here.table.expire("n", 90)
    exchange(here, there)
    assert (here.table["n"], there.table["n"]) == (22, 22)
    assert here.table.ttl("n") == there.table.ttl("n") == 90
    hands.seconds += 1
    here.table.expire("n", 5)
    exchange(here, there)
    assert there.table.ttl("n") == 5 and there.table["n"] == 22


def test_an_increment_never_shortens_the_time_that_a_counter_was_given() -> None:
    here, there, hands = pair("t=>autoexpire=10")
    here.table.incr("n")
    exchange(here, there)
    here.table.expire("n", 60)
    exchange(here, there)
    hands.seconds += 1
    there.table.incr("n")
    assert there.table.ttl("n") == 59
    exchange(here, there)
    assert here.table.ttl("n") == there.table.ttl("n") == 59
    hands.seconds += 55
    here.table.incr("n")
    exchange(here, there)
    assert here.table.ttl("n") == there.table.ttl("n") == 10
    assert here.table["n"] == there.table["n"] == 3


@pytest.mark.parametrize("counts_on", [False, True])
def test_a_counter_without_a_time_ends_with_that_which_it_was_given_elsewhere(counts_on: bool) -> None:
    here, there, hands = pair()
    here.table.incr("n", 2)
    exchange(here, there)
    here.table.expire("n", 3)
    hands.seconds += 4
    assert "n" not in here.table
    if counts_on:
        there.table.incr("n")
    exchange(here, there)
    assert "n" not in here.table
    assert "n" not in there.table
    assert here.table.incr("n") == 1
    exchange(here, there)
    assert here.table["n"] == there.table["n"] == 1
