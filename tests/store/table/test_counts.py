"""Shares of a counter: merged in any order they end alike, and folded they stay small and nothing is lost."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dmqcache.store.kamailio.writes import KamailioArrivals
from dmqcache.store.table.clock import version_at
from dmqcache.store.table.counts import (
    DATED,
    KEPT,
    MAX_INTEGER,
    MAX_SHARES,
    MOST_KEPT,
    MOST_OLD,
    RETIRED,
    Counter,
    Counts,
    Share,
    Shares,
    merge_shares,
    without_void,
)
from dmqcache.store.table.listener import TableListener
from dmqcache.store.table.row import Row, row_of
from tests.store.fixtures import Hands, make_arrivals, rows_of

SPAN = 900.0


def _share(stamp: int, total: int, line: int) -> Share:
    return Share(stamp, total, min(stamp, line))


def _row(shares: Shares) -> Shares:
    retired = shares.get(RETIRED)
    if retired is not None:
        shares = {**shares, RETIRED: Share(retired.stamp, retired.total, retired.stamp)}
    return without_void(shares)


# All that the arrival lets through: names of three addresses, and the sum of what was retired.
rows = st.dictionaries(
    st.sampled_from(["a#1", "a#2", "a#3", "b#1", "b#2", "c#1", RETIRED]),
    st.builds(_share, st.integers(1, 6), st.integers(-2, 2), st.integers(0, 6)),
    max_size=6,
).map(_row)


@given(rows, rows)
@settings(max_examples=400, deadline=None)
def test_merging_does_not_depend_on_who_holds_what(one: Shares, two: Shares) -> None:
    assert merge_shares(one, two) == merge_shares(two, one)


@given(rows, rows, rows)
@settings(max_examples=600, deadline=None)
def test_merging_does_not_depend_on_the_order(one: Shares, two: Shares, three: Shares) -> None:
    assert merge_shares(merge_shares(one, two), three) == merge_shares(one, merge_shares(two, three))


@given(rows, rows)
@settings(max_examples=300, deadline=None)
def test_what_comes_again_changes_nothing(one: Shares, two: Shares) -> None:
    assert merge_shares(one, one) == one
    both = merge_shares(one, two)
    assert merge_shares(both, one) == merge_shares(both, two) == both


class Node:
    """A node, all its processes one after the other."""

    def __init__(self, address: str, hands: Hands, told: list[str]) -> None:
        self.address = address
        self.hands = hands
        self.listener = TableListener(lambda cell: told.append(cell.key))
        self.started = 0
        self.start()

    def start(self) -> None:
        """A new process, which remembers nothing."""
        self.started += 1
        self.arrivals: KamailioArrivals = make_arrivals(
            hands=self.hands, identity=f"{self.address}#{self.started:08x}", listener=self.listener
        )[0]

    @property
    def counts(self) -> Counts:
        counts = self.arrivals.table.cells["n"].counts
        assert counts is not None
        return counts

    def incr(self, by: int = 1) -> int:
        return self.arrivals.table.incr("n", by)

    def hears(self, other: Node) -> None:
        if "n" in other.arrivals.table.cells:
            self.arrivals.merge_rows(rows_of(other.arrivals.table, "n"), other.address)

    def size(self) -> int:
        return len(msgspec.json.encode(row_of(self.arrivals.table.cells["n"], 0.0)))


def nodes(count: int, told: list[str] | None = None) -> tuple[list[Node], Hands]:
    """``told`` gets the key of each write that is to be told on."""
    hands, told = Hands(), [] if told is None else told
    return [Node(f"sip:127.0.0.{11 + number}:5060", hands, told) for number in range(count)], hands


@pytest.mark.parametrize("pause", [0.01, 1.0, 100.0, 600.0, 2_000.0, 90_000.0])
def test_ten_thousand_restarts_of_a_node_leave_a_small_row_and_the_right_sum(pause: float) -> None:
    (one, two), hands = nodes(2)
    total = largest = 0
    for number in range(10_000 if pause == 1.0 else 1_500):
        one.start()
        one.hears(two)
        for by in (1, number % 3):
            one.incr(by)
            total += by
        two.hears(one)
        hands.seconds += pause
        largest = max(largest, two.size())
    assert two.arrivals.table["n"] == total
    assert largest < 1_000
    one.start()
    one.hears(two)
    assert one.incr() == total + 1
    two.hears(one)
    assert one.arrivals.table.digest.leaves == two.arrivals.table.digest.leaves


@pytest.mark.parametrize("alive", [300.0, 1_000.0])
def test_nodes_that_come_and_never_return_leave_no_more_than_a_few_shares(alive: float) -> None:
    (keeper,), hands = nodes(1)
    total = 0
    for number in range(2_000):
        guest = Node(f"sip:10.0.{number >> 8}.{number & 255}:5060", hands, [])
        guest.hears(keeper)
        total += 2
        guest.incr()
        keeper.hears(guest)
        keeper.incr()
        hands.seconds += alive
    assert keeper.arrivals.table["n"] == total
    assert len(keeper.counts.shares) <= MOST_OLD + 3 * SPAN / alive + 3
    assert keeper.size() < 1_500


def test_no_increment_is_lost_whatever_the_order_while_nodes_are_not_away_for_too_long() -> None:
    for seed in range(15):
        chance = random.Random(seed)
        group, hands = nodes(4)
        total = 0
        for _ in range(60):
            for node in group[:3]:
                if chance.random() < 0.2:
                    # It may have told nobody but the one that is cut off now and then.
                    chance.choice(group[1:]).hears(node)
                    node.start()
                    for other in chance.sample(group, 3):
                        node.hears(other)
                for _ in range(chance.choice((0, 1, 3))):
                    by = chance.choice((1, 2, -1))
                    node.incr(by)
                    total += by
                for other in chance.sample(group, 2):
                    other.hears(node)
            hands.seconds += chance.choice((1.0, 200.0, 850.0))
            for one in group:
                for other in group:
                    one.hears(other)
            if chance.random() < 0.1:
                hands.seconds += 5_000.0
        shown = [node.arrivals.table["n"] for node in group]
        assert shown == [total] * 4, seed
        assert len({node.arrivals.table.digest.node(0, 0) for node in group}) == 1


def test_increments_of_a_node_that_was_cut_off_for_days_count_if_few_nodes_are() -> None:
    (one, two, three), hands = nodes(3)
    for node in (one, two, three):
        node.incr(10)
    for node in (two, one, three, two, one):
        for other in (one, two, three):
            node.hears(other)
    for _ in range(100):
        hands.seconds += 3_000
        one.incr()
        two.incr()
        three.incr()
        one.hears(two)
        two.hears(one)
    three.hears(one)
    one.hears(three)
    assert one.arrivals.table["n"] == three.arrivals.table["n"] == 330


def test_a_forerunner_is_not_folded_while_a_node_may_know_more_of_it() -> None:
    (one, two, cut_off), hands = nodes(3)
    one.incr()
    two.hears(one)
    one.incr()
    cut_off.hears(one)
    one.start()
    one.hears(two)
    hands.seconds += SPAN - 1
    assert one.incr() == 2
    one.hears(cut_off)
    assert one.arrivals.table["n"] == 3
    hands.seconds += 100
    one.incr()
    assert [share.total for share in one.counts.shares.values()] == [4]
    # What is part of a sum counts no second time.
    one.hears(cut_off)
    cut_off.hears(one)
    assert one.arrivals.table["n"] == cut_off.arrivals.table["n"] == 4


def test_a_share_that_others_may_retire_is_left_alone_by_its_node() -> None:
    group, hands = nodes(MOST_OLD + 3)
    one, two, *rest = group
    for node in group:
        node.incr()
        hands.seconds += 0.001
    for node in rest:
        one.hears(node)
        two.hears(node)
    one.hears(two)
    two.hears(one)
    assert one.arrivals.table["n"] == MOST_OLD + 3
    hands.seconds += 3 * SPAN + 10
    # Both at once, not hearing of each other: two of them add up the same, and not each other's.
    one.incr()
    two.incr()
    one.hears(two)
    two.hears(one)
    assert one.arrivals.table["n"] == two.arrivals.table["n"] == MOST_OLD + 5
    assert RETIRED in one.counts.shares
    assert len(one.counts.shares) <= MOST_OLD + 3
    rest[0].hears(one)
    assert rest[0].incr() == MOST_OLD + 6


def test_so_many_processes_count_in_one_key_and_no_more() -> None:
    (one,), hands = nodes(1)
    for number in range(MAX_SHARES):
        guest = Node(f"sip:10.0.{number >> 8}.{number & 255}:5060", hands, [])
        guest.incr()
        one.hears(guest)
    with pytest.raises(ValueError, match="set the key anew"):
        one.incr()
    assert one.arrivals.table["n"] == MAX_SHARES
    one.arrivals.table["n"] = 5
    assert one.incr() == 6


def test_a_total_beyond_64_bits_goes_on_in_another_share() -> None:
    (one, two), hands = nodes(2)
    one.arrivals.table["n"] = -MAX_INTEGER
    two.hears(one)
    for expected in (0, MAX_INTEGER):
        assert one.incr(MAX_INTEGER) == expected
    assert len(one.counts.shares) == 2
    with pytest.raises(ValueError, match="overflow"):
        one.incr()
    hands.seconds += 2 * SPAN
    assert one.incr(-MAX_INTEGER) == 0
    two.hears(one)
    assert two.arrivals.table["n"] == 0


def test_sums_that_simultaneous_increments_bring_beyond_64_bits_stop_there_on_all() -> None:
    (one, two), _hands = nodes(2)
    for node in (one, two):
        node.incr(6 * 10**18)
    one.hears(two)
    two.hears(one)
    for node in (one, two):
        assert node.arrivals.table["n"] == MAX_INTEGER
        with pytest.raises(ValueError, match="overflow"):
            node.incr(1)
        # Adding nothing gives it a new version, as for a Kamailio.
        assert node.incr(0) == MAX_INTEGER
    two.hears(one)
    # Nothing of it is lost: it may be brought back, in steps of any size.
    assert one.incr(-1) == MAX_INTEGER
    assert one.incr(-4 * 10**18) == 8 * 10**18 - 1
    two.hears(one)
    assert two.incr(-8 * 10**18) == -1


def lie(node: Node, **shares: Share) -> Row:
    cell = node.arrivals.table.cells["n"]
    own = node.arrivals.table.counter.identity
    return Row("n", 0, cell.stamp, shares={name.replace("own", own): share for name, share in shares.items()})


def test_nobody_else_has_a_word_on_what_a_process_has_added() -> None:
    told: list[str] = []
    (one, two), hands = nodes(2, told)
    one.incr(5)
    two.hears(one)
    forged = lie(one, own=Share(one.arrivals.table.clock.limit(), 10**18))
    for node in (two, one):
        node.arrivals.merge_rows([forged], "evil")
    assert two.arrivals.table["n"] == 10**18
    assert one.arrivals.table["n"] == 5
    assert one.arrivals.counters.refused["t", "own_share"] == 1
    assert told == ["n", "n"]
    hands.seconds += 0.001
    two.hears(one)
    assert two.arrivals.table["n"] == 5
    assert one.incr() == 6
    two.hears(one)
    assert two.arrivals.table["n"] == 6


@pytest.mark.parametrize("name", ["sip:127.0.0.11:5060#other", RETIRED])
def test_what_a_process_has_added_lately_is_in_no_other_share(name: str) -> None:
    (one, two), _hands = nodes(2)
    one.incr(5)
    two.hears(one)
    above = one.arrivals.table.clock.limit() - 5
    forged = Row("n", 0, one.arrivals.table.cells["n"].stamp, shares={name: Share(above, 1, above)})
    two.arrivals.merge_rows([forged], "evil")
    assert two.arrivals.table["n"] == 1
    one.arrivals.merge_rows([forged], "evil")
    two.hears(one)
    assert one.arrivals.table["n"] == two.arrivals.table["n"] == 6


@pytest.mark.parametrize(
    "shares",
    [
        {"a": Share(5, 1, 6)},
        {RETIRED: Share(5, 1, 4)},
        {DATED: Share(5, 1)},
        {DATED: Share(5, 0, 5)},
        {"x" * 301: Share(5, 1)},
        {f"a#{number}": Share(5, 1) for number in range(1025)},
    ],
)
def test_shares_that_cannot_be_are_refused_by_name(shares: Shares) -> None:
    (one,), _hands = nodes(1)
    good = Row("m", 1, 5, shares={"a": Share(5, 1)})
    one.arrivals.merge_rows([Row("n", 0, 5, shares=shares), good], "evil")
    assert one.arrivals.counters.refused["t", "bad_share"] == 1
    assert set(one.arrivals.table.cells) == {"m"}


def test_a_later_version_costs_no_share_whoever_gives_it_and_is_agreed_upon() -> None:
    (one, two), _hands = nodes(2)
    one.arrivals.table.incr("n", 5)
    two.hears(one)
    for _ in range(20):
        one.arrivals.table.date_anew("n")
        two.arrivals.table.date_anew("n")
        two.hears(one)
        one.hears(two)
    (mine, theirs) = (side.arrivals.table.cells["n"] for side in (one, two))
    assert mine.value == theirs.value == 5
    assert mine.counts is not None and mine.counts == theirs.counts
    assert len(mine.counts.shares) == 2
    assert mine.last_modified() == mine.counts.shares[DATED].stamp


def test_a_few_forerunners_keep_their_shares_and_old_ones_for_longer() -> None:
    now = [10_000.0]
    counts = Counts(0, {})
    for number in range(20):
        counter = Counter(f"a#{number}", lambda: now[0])
        counter.add(counts, 1, version_at(number + 1), SPAN)
        assert len(counts.shares) <= KEPT + 1
    assert counts.exact() == 20
    # The forerunners are old by now: they are left alone, until there are too many.
    for number in range(20, 40):
        counter = Counter(f"a#{number}", lambda: now[0])
        counter.add(counts, 1, version_at(3_000_000 + number), SPAN)
        assert len(counts.shares) <= max(MOST_KEPT, MOST_OLD) + 1
    assert counts.exact() == 40
