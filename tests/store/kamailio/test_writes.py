"""What a Kamailio writes, with and without versions, early and late, in and out of order."""

from __future__ import annotations

import pytest

from dmqcache.store.kamailio.overtaking import KEPT_S, SendingOrder, Sent
from dmqcache.store.kamailio.writes import MAX_REMOVALS, KamailioArrivals
from dmqcache.store.table.cell import PROVISIONAL
from dmqcache.store.table.clock import MAX_AHEAD_MS, ms_of, version_at
from dmqcache.store.table.listener import TableListener
from dmqcache.store.table.merge import Collision
from dmqcache.store.table.patterns import MatchKind, MatchOn
from dmqcache.store.table.row import Row
from dmqcache.store.table.version import Verdict
from tests.store.fixtures import START_MS, Hands, make_arrivals, rows_of


def test_a_write_without_version_gets_ours_and_the_tables_time() -> None:
    one, hands = make_arrivals("t=>autoexpire=60")
    assert one.arrive_set("a", "x", None, "k") is Verdict.NEWER
    cell = one.table.cells["a"]
    assert (ms_of(cell.stamp), cell.flags & PROVISIONAL) == (hands.wall_ms(), PROVISIONAL)
    assert one.table.ttl("a") == 60
    assert one.arrive_set("a", "y", None, "k") is Verdict.NEWER
    assert (one.table["a"], cell.stamp) == ("y", version_at(hands.wall_ms()) + 1)


def test_a_time_that_is_too_far_ahead_counts_as_none_and_is_remembered() -> None:
    one, hands = make_arrivals()
    limit = hands.wall_ms() + MAX_AHEAD_MS
    assert one.arrive_set("a", "x", limit, "k") is Verdict.NEWER
    assert (ms_of(one.table.cells["a"].stamp), one.undated_until) == (limit, 0)
    assert one.arrive_set("b", "x", limit + 1, "k") is Verdict.NEWER
    cell = one.table.cells["b"]
    assert (ms_of(cell.stamp), cell.flags & PROVISIONAL) == (hands.wall_ms(), PROVISIONAL)
    assert one.undated_until == limit + 1
    assert one.counters.clamped["t"] == 1


@pytest.mark.parametrize("dated", [0, -10])
def test_a_6_2_that_still_holds_what_is_over_here_does_not_bring_it_back(dated: int) -> None:
    """Without autoexpire it knows no times, and shows the key until it is told that it is over."""
    one, hands = make_arrivals()
    one.watch = True
    one.table.set("a", "x", 3)
    stamp = ms_of(one.table.cells["a"].stamp)
    hands.seconds += 4
    assert one.arrive_set("a", "x", stamp + dated, "k") is Verdict.OLDER
    assert "a" not in one.table and not one.collisions
    # What it writes itself is something else.
    assert one.arrive_set("a", "y", stamp + 1, "k") is Verdict.NEWER
    assert one.table["a"] == "y"


def test_versions_given_on_arrival_do_not_make_digests_differ() -> None:
    one, hands = make_arrivals()
    two, _ = make_arrivals(hands=hands)
    one.arrive_set("a", "x", None, "k")
    hands.seconds += 0.2
    two.arrive_set("a", "x", None, "k")
    assert one.table.digest.leaves == two.table.digest.leaves


def test_an_increment_of_a_kamailios_number_counts_where_that_was_heard_later() -> None:
    one, hands = make_arrivals(identity="one")
    two, _ = make_arrivals(hands=hands, identity="two")
    one.arrive_set("n", 2, None, "k")
    hands.seconds += 0.01
    two.arrive_set("n", 2, None, "k")
    assert one.table.incr("n") == 3
    assert two.merge_rows(rows_of(one.table, "n"), "one") == []
    assert two.table["n"] == 3
    assert one.table.digest.leaves == two.table.digest.leaves


def test_a_time_that_only_one_node_heard_makes_digests_differ() -> None:
    one, hands = make_arrivals("t=>autoexpire=3600")
    two, _ = make_arrivals("t=>autoexpire=3600", hands=hands)
    for arrivals in (one, two):
        arrivals.arrive_set("a", "x", None, "k")
    assert one.table.digest.leaves == two.table.digest.leaves
    one.arrive_expire("a", 600, "k")
    assert one.table.digest.leaves != two.table.digest.leaves
    two.arrive_expire("a", 600, "k")
    assert one.table.digest.leaves == two.table.digest.leaves


def test_a_write_with_version_wins_only_if_it_is_later() -> None:
    one, _hands = make_arrivals()
    one.table["a"] = "ours"
    ms = ms_of(one.table.cells["a"].stamp)
    assert one.arrive_set("a", "theirs", ms - 1, "k") is Verdict.OLDER
    assert one.arrive_set("a", "theirs", ms + 1, "k") is Verdict.NEWER
    assert one.table["a"] == "theirs"


def test_a_kamailios_time_counts_only_where_the_table_expires() -> None:
    one, _hands = make_arrivals("t=>autoexpire=60")
    one.arrive_set("a", "x", None, "k")
    assert one.arrive_expire("a", 5, "k")
    assert one.table.ttl("a") == 5
    assert one.arrive_expire("a", 0, "k")
    assert one.table.ttl("a") is None
    assert not one.arrive_expire("none", 5, "k")
    plain, _ = make_arrivals()
    plain.arrive_set("a", "x", None, "k")
    assert not plain.arrive_expire("a", 5, "k")


def test_a_kamailios_delete_is_remembered_even_if_the_key_was_not_there() -> None:
    one, hands = make_arrivals()
    assert not one.arrive_delete("a", "k")
    assert one.arrive_set("a", "late", hands.wall_ms() - 10, "k") is Verdict.OLDER
    assert one.arrive_set("a", "new", None, "k") is Verdict.NEWER
    assert one.arrive_delete("a", "k")
    assert "a" not in one.table


def test_a_kamailios_removal_by_pattern() -> None:
    one, _ = make_arrivals()
    for key in ("ann", "anna", "bob"):
        one.arrive_set(key, "x", None, "k")
    assert one.arrive_remove(MatchKind.PREFIX, "an", MatchOn.NAME, "k") == ["ann", "anna"]
    assert list(one.table) == ["bob"]


def watching() -> tuple[KamailioArrivals, Hands]:
    one, hands = make_arrivals()
    one.watch = True
    return one, hands


def test_a_kamailios_write_right_after_ours_is_noticed() -> None:
    one, hands = watching()
    one.table["a"] = "ours"
    hands.seconds += 0.3
    one.arrive_set("a", "theirs", None, "k")
    assert one.collisions == {"a": Collision.SEEN | Collision.MINE}


def test_writes_of_one_kamailio_are_no_collision_nor_are_late_ones() -> None:
    one, hands = watching()
    one.arrive_set("a", "1", None, "k")
    one.arrive_set("a", "2", None, "k")
    hands.seconds += 5
    one.arrive_set("a", "3", None, "other")
    assert one.collisions == {}


def test_the_same_version_with_other_content_is_noticed_as_a_tie() -> None:
    one, _hands = watching()
    one.table["a"] = "ours"
    one.arrive_set("a", "theirs", ms_of(one.table.cells["a"].stamp), "k")
    assert one.collisions["a"] & Collision.TIE


def test_what_arrives_is_never_told_on() -> None:
    told: list[str] = []
    one, _hands = make_arrivals(listener=TableListener(lambda cell: told.append(cell.key)))
    one.arrive_set("a", "x", None, "k")
    one.arrive_expire("a", 5, "k")
    one.arrive_delete("a", "k")
    one.merge_rows([Row("b", "x", START_MS)], "n")
    assert told == []


def test_a_time_without_end_from_a_kamailio_can_still_be_told_on() -> None:
    one, hands = make_arrivals("t=>autoexpire=60")
    two, _ = make_arrivals("t=>autoexpire=60", hands=hands)
    one.arrive_set("a", "x", None, "k", left=9e18)
    one.arrive_set("b", "x", None, "k")
    one.arrive_expire("b", (1 << 63) - 1, "k")
    two.merge_rows(rows_of(one.table, "a", "b"), "one")
    assert two.table.ttl("a") == two.table.ttl("b") == 2**31 - 1


def test_a_set_that_comes_after_its_time_gets_what_is_left_of_it() -> None:
    one, hands = make_arrivals("t=>autoexpire=3600")
    assert not one.arrive_expire("a", 5, "k")
    hands.seconds += 0.5
    one.arrive_set("a", "x", None, "k")
    assert one.table.ttl("a") == 4.5
    one.arrive_set("a", "y", None, "k")
    assert one.table.ttl("a") == 3600


def test_another_nodes_set_or_a_later_one_does_not_get_it() -> None:
    one, hands = make_arrivals("t=>autoexpire=3600")
    one.arrive_expire("a", 50, "k")
    one.arrive_set("a", "x", None, "other")
    assert one.table.ttl("a") == 3600
    one.arrive_expire("b", 50, "k")
    hands.seconds += KEPT_S + 0.1
    one.arrive_set("b", "x", None, "k")
    assert one.table.ttl("b") == pytest.approx(3600)


def test_a_time_of_a_key_that_is_there_is_not_kept_for_the_next_set() -> None:
    one, _ = make_arrivals("t=>autoexpire=3600")
    one.arrive_set("a", "x", None, "k")
    one.arrive_expire("a", 5, "k")
    one.arrive_set("a", "y", None, "k")
    assert one.table.ttl("a") == 3600


class Late:
    """A Kamailio of which a message is lost at first, while later ones come: ``sent`` says when it was sent
    at the latest."""

    def __init__(self, declared: str = "t=>autoexpire=3600") -> None:
        self.one, self.hands = make_arrivals(declared)
        self.table = self.one.table
        self.one.arrive_set("a", "before", None, "k", None, self.in_order)
        self.hands.seconds += 10
        #: When the later message came.
        self.sent = self.hands.seconds

    @property
    def in_order(self) -> Sent:
        """What is said of a message that comes now, after all that were sent before."""
        return Sent(self.hands.seconds, number=round(self.hands.seconds * 1_000_000))

    @property
    def late(self) -> Sent:
        """What is said of the lost message when it comes again."""
        return Sent(self.sent, True, number=round(self.sent * 1_000_000))

    def wait(self) -> None:
        """T1, until the lost message comes again."""
        self.hands.seconds += 0.5


def test_a_set_that_was_overtaken_by_a_later_one_does_not_win() -> None:
    late = Late()
    late.one.arrive_set("a", "second", None, "k", None, late.in_order)
    late.wait()
    assert late.one.arrive_set("a", "first", None, "k", None, late.late) is Verdict.OLDER
    assert late.table["a"] == "second"
    assert late.one.counters.refused["t", "older"] == 1


@pytest.mark.parametrize("step", [0.0001, 0.0003, 0.0005, 0.0007, 0.0009])
def test_fractions_of_milliseconds_do_not_make_an_overtaken_set_as_late_as_the_later_one(step: float) -> None:
    for after in (0.5001, 0.5004, 0.5006, 0.5009):
        late = Late()
        late.hands.seconds += step
        came = late.hands.seconds
        late.one.arrive_set("a", "a second", None, "k", None, late.in_order)
        late.hands.seconds += after
        assert late.one.arrive_set("a", "the first", None, "k", None, Sent(came, late=True)) is Verdict.OLDER


def test_of_two_late_messages_the_later_wins_though_they_were_sent_in_one_millisecond() -> None:
    late = Late()
    late.wait()
    late.one.arrive_set("a", "first", None, "k", None, late.late)
    assert late.one.arrive_delete(
        "a", "k", Sent(late.sent + 0.0001, True, number=round(late.sent * 1_000_000) + 1)
    )
    assert "a" not in late.table


def test_a_set_that_was_overtaken_by_its_delete_does_not_come_back() -> None:
    late = Late()
    late.one.arrive_delete("a", "k", late.in_order)
    late.one.arrive_delete("new", "k", late.in_order)
    late.wait()
    for key in ("a", "new"):
        assert late.one.arrive_set(key, "first", None, "k", None, late.late) is Verdict.OLDER
    assert list(late.table) == []


def test_a_delete_that_was_overtaken_by_a_set_deletes_nothing() -> None:
    late = Late()
    late.one.arrive_set("a", "second", None, "k", None, late.in_order)
    late.wait()
    assert not late.one.arrive_delete("a", "k", late.late)
    assert late.table["a"] == "second"


def test_what_was_overtaken_by_a_write_of_ours_does_not_win() -> None:
    """The Kamailio had our write after its own, if it had sent its own before something that came before."""
    late = Late()
    late.hands.seconds += 0.1
    late.table["a"] = "ours"
    late.wait()
    assert late.one.arrive_set("a", "theirs", None, "k", None, late.late) is Verdict.OLDER
    assert not late.one.arrive_delete("a", "k", late.late)
    assert not late.one.arrive_expire("a", 5, "k", late.late)
    assert late.table["a"] == "ours" and late.table.ttl("a") == pytest.approx(3599.5)


def test_a_late_set_is_still_newer_than_what_was_here_long_before() -> None:
    late = Late()
    late.wait()
    assert late.one.arrive_set("a", "late", None, "k", None, late.late) is Verdict.NEWER
    assert late.table["a"] == "late"


def test_a_set_that_was_overtaken_by_its_time_gets_it_though_there_was_an_old_value() -> None:
    late = Late()
    assert late.one.arrive_expire("a", 5, "k", late.in_order)
    late.wait()
    assert late.one.arrive_set("a", "new", None, "k", None, late.late) is Verdict.NEWER
    assert late.table["a"] == "new" and late.table.ttl("a") == 4.5


def test_a_set_sent_after_a_time_does_not_get_that_though_the_key_was_not_there() -> None:
    late = Late()
    late.one.arrive_expire("new", 5, "k", late.in_order)
    late.wait()
    late.one.arrive_set("new", "x", None, "k", None, late.in_order)
    assert late.table.ttl("new") == 3600


def test_a_delete_that_was_overtaken_by_a_time_deletes_all_the_same() -> None:
    late = Late()
    late.one.arrive_expire("a", 5, "k", late.in_order)
    late.wait()
    assert late.one.arrive_delete("a", "k", late.late)
    assert "a" not in late.table


def test_a_time_that_was_overtaken_by_a_write_of_ours_does_not_undo_that() -> None:
    late = Late()
    assert late.one.arrive_expire("a", 5, "k", late.in_order)
    late.table["a"] = "ours"
    late.wait()
    assert late.one.arrive_set("a", "theirs", None, "k", None, late.late) is Verdict.OLDER
    assert late.table["a"] == "ours"


#: Seconds between two lines of a Kamailio's script.
STEP_S = 0.0002


def test_what_a_script_does_next_counts_though_it_is_lost_at_first() -> None:
    """A value and its time, a second value, a delete, each right after a value that came at once."""
    late = Late()
    for key in ("time", "second", "gone"):
        late.one.arrive_set(key, "first", None, "k", None, late.in_order)
    late.sent = late.hands.seconds + STEP_S
    late.wait()
    assert late.one.arrive_expire("time", 5, "k", late.late)
    assert late.one.arrive_set("second", "x", None, "k", None, late.late) is Verdict.NEWER
    assert late.one.arrive_delete("gone", "k", late.late)
    assert late.table.ttl("time") == 5 and late.table["second"] == "x" and "gone" not in late.table


def test_a_time_that_another_process_may_have_sent_after_the_value_counts() -> None:
    late = Late()
    late.one.arrive_set("a", "first", None, "k", None, late.in_order)
    late.wait()
    earlier = late.sent - 0.1
    assert not late.one.arrive_expire("a", 5, "k", Sent(earlier, True, "other", 1, earlier))
    assert late.one.arrive_expire("a", 5, "k", Sent(earlier, True, "other", 1, late.sent + 0.1))
    assert late.table.ttl("a") == 5


def test_a_late_write_has_the_version_of_its_time_so_that_other_nodes_take_it_for_later_too() -> None:
    """They have given what was there before a version of their own, which may be a little later than ours."""
    late = Late()
    late.sent = late.hands.seconds
    late.wait()
    assert late.one.arrive_delete("a", "k", late.late)
    sent_ms = late.hands.wall_ms() - 500
    assert sent_ms - 2 <= ms_of(late.table.cells["a"].last_modified()) <= sent_ms


def test_what_a_script_did_next_counts_though_another_node_has_given_the_first_value_a_version() -> None:
    late = Late()
    late.one.arrive_set("a", "first", None, "k", None, late.in_order)
    late.sent = late.hands.seconds + STEP_S
    late.wait()
    late.one.merge_rows([Row("a", "first", version_at(late.hands.wall_ms()))], "n")
    assert late.table.cells["a"].last_modified() == version_at(late.hands.wall_ms())
    assert late.one.arrive_set("a", "second", None, "k", None, late.late) is Verdict.NEWER


def test_a_second_value_that_was_overtaken_by_its_time_counts() -> None:
    late = Late()
    late.one.arrive_set("a", "first", None, "k", None, late.in_order)
    late.sent = late.hands.seconds + STEP_S
    late.hands.seconds += 2 * STEP_S
    assert late.one.arrive_expire("a", 5, "k", late.in_order)
    late.wait()
    assert late.one.arrive_set("a", "second", None, "k", None, late.late) is Verdict.NEWER
    assert late.table["a"] == "second" and late.table.ttl("a") == pytest.approx(4.5)


def test_what_a_script_did_before_does_not_count_though_it_was_in_the_same_millisecond() -> None:
    late = Late()
    late.hands.seconds += STEP_S
    late.one.arrive_set("a", "second", None, "k", None, late.in_order)
    late.wait()
    assert late.one.arrive_set("a", "first", None, "k", None, late.late) is Verdict.OLDER
    assert not late.one.arrive_delete("a", "k", late.late)
    assert not late.one.arrive_expire("a", 5, "k", late.late)
    assert late.table["a"] == "second" and late.table.ttl("a") == pytest.approx(3599.5)


def test_a_set_that_was_overtaken_by_a_removal_does_not_come_back() -> None:
    late = Late()
    late.one.arrive_remove(MatchKind.PREFIX, "n", MatchOn.NAME, "k", late.in_order)
    late.wait()
    assert late.one.arrive_set("new", "x", None, "k", None, late.late) is Verdict.OLDER
    assert late.one.arrive_set("other", "x", None, "k", None, late.late) is Verdict.NEWER
    assert late.one.arrive_set("next", "x", None, "another", None, late.late) is Verdict.NEWER
    assert late.one.arrive_set("new", "x", None, "k", None, late.in_order) is Verdict.NEWER


def test_only_so_many_removals_are_remembered() -> None:
    late = Late()
    for number in range(MAX_REMOVALS + 1):
        late.one.arrive_remove(MatchKind.PREFIX, f"n{number}-", MatchOn.NAME, "k", late.in_order)
    late.wait()
    assert late.one.arrive_set("n0-x", "x", None, "k", None, late.late) is Verdict.NEWER
    assert late.one.arrive_set("n1-x", "x", None, "k", None, late.late) is Verdict.OLDER


def test_what_other_nodes_write_does_not_count_as_written_by_clients_here() -> None:
    one, _ = make_arrivals("t=>autoexpire=60")
    one.arrive_set("a", "x", None, "k")
    one.arrive_expire("a", 5, "k")
    one.arrive_delete("a", "k")
    one.merge_rows([Row("b", "x", START_MS), Row("c", None, START_MS)], "n")
    assert (one.table.counters.sets, one.table.counters.deletes) == (0, 0)
    assert one.counters.changes == {("t", "kamailio"): 3, ("t", "dmqcache"): 2}


def test_a_message_in_order_is_newer_than_all_though_the_clock_goes_on_while_it_is_handled() -> None:
    one, hands = make_arrivals("t=>autoexpire=60")
    order = SendingOrder()
    for number, step in enumerate((0.0, 0.00001, 0.0005)):
        one.table["a"] = one.table["b"] = "ours"
        sent = order.sent(f"{1000 + number:016x}-1@127.0.0.1", hands.now())
        hands.seconds += step
        assert one.arrive_set("a", "theirs", None, "k", None, sent) is Verdict.NEWER
        assert one.arrive_expire("a", 5, "k", sent)
        assert one.arrive_delete("b", "k", sent)


@pytest.mark.parametrize(("behind", "wins"), [(1, True), (400, True), (600, False)])
def test_a_6_2_whose_clock_is_behind_sets_what_it_has_just_deleted(behind: int, wins: bool) -> None:
    one, hands = make_arrivals()
    one.arrive_set("a", "old", hands.wall_ms() - behind - 10, "k", None, Sent(hands.now()))
    one.arrive_delete("a", "k", Sent(hands.now()))
    one.arrive_set("a", "new", hands.wall_ms() - behind, "k", None, Sent(hands.now()))
    assert one.table.get("a") == ("new" if wins else None)
    one.table.delete("a")
    one.arrive_set("a", "newer", hands.wall_ms() - behind + 1, "k", None, Sent(hands.now()))
    assert "a" not in one.table or not wins
