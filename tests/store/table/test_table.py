"""What a table's user sees: values, times to live, counters, order, patterns, flush."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmqcache.store.table.cell import Cell, cell_digest
from dmqcache.store.table.clock import ms_of, version_at
from dmqcache.store.table.counts import MAX_INTEGER
from dmqcache.store.table.listener import TableLimits, TableListener
from dmqcache.store.table.patterns import MatchKind, MatchOn, PatternError
from dmqcache.store.table.row import Row
from dmqcache.store.table.table import Table
from dmqcache.store.table.text_size import size_of
from tests.store.fixtures import books, make_arrivals, make_table, rows_of


def test_reads_what_was_written() -> None:
    table, _ = make_table()
    table["a"] = "x"
    table["n"] = 7
    assert (table["a"], table["n"], table.get("none")) == ("x", 7, None)
    assert ("a" in table, "none" in table, len(table)) == (True, False, 2)
    with pytest.raises(KeyError):
        table["none"]


def test_a_value_ends_with_its_time_to_the_millisecond() -> None:
    table, hands = make_table()
    table.set("a", "x", ttl=1.5)
    assert table.ttl("a") == pytest.approx(1.5)
    hands.seconds += 1.499
    assert table.get("a") == "x"
    hands.seconds += 0.001
    assert table.get("a") is None
    assert len(table) == 0 or table.sweep(10) == 1
    with pytest.raises(KeyError):
        table.ttl("a")


def test_a_wall_clock_that_jumps_ends_nothing() -> None:
    table, hands = make_table()
    table.set("a", "x", ttl=60)
    hands.jump_ms = 10 * 60_000
    assert table.get("a") == "x"
    hands.jump_ms = -10 * 60_000
    hands.seconds += 60
    assert table.get("a") is None


def test_autoexpire_is_the_time_of_a_set_without_one() -> None:
    table, hands = make_table("t=>autoexpire=10")
    table["a"] = "x"
    table.set("b", "x", ttl=0)
    table.set("c", "x", ttl=3)
    assert (table.ttl("a"), table.ttl("b"), table.ttl("c")) == (10, None, 3)
    hands.seconds += 4
    table["a"] = "y"
    assert table.ttl("a") == 10


def test_updateexpire_0_leaves_the_time_of_a_key_that_exists() -> None:
    table, hands = make_table("t=>autoexpire=10;updateexpire=0")
    table["a"] = "x"
    hands.seconds += 4
    table["a"] = "y"
    assert table.ttl("a") == 6
    hands.seconds += 7
    table["a"] = "z"
    assert table.ttl("a") == 10


def test_keep_ttl_and_expire() -> None:
    table, hands = make_table()
    table.set("a", "x", ttl=10)
    hands.seconds += 4
    table.set("a", "y", keep_ttl=True)
    assert table.ttl("a") == 6
    assert table.expire("a", 100)
    assert table.ttl("a") == 100
    assert table.expire("a", 0)
    assert table.ttl("a") is None
    assert not table.expire("none", 1)
    with pytest.raises(ValueError):
        table.expire("a", -1)


def test_the_sweep_finds_what_nobody_reads_in_bounded_steps() -> None:
    table, hands = make_table("t=>autoexpire=5")
    for number in range(25):
        table[f"k{number}"] = "x"
    hands.seconds += 7
    assert [table.sweep(10), table.sweep(10), table.sweep(10), table.sweep(10)] == [10, 10, 5, 0]
    assert (len(table), table.counters.expirations, table.text_bytes) == (0, 25, 0)


def test_increments_begin_at_initval_and_go_on_from_text() -> None:
    table, _ = make_table("t=>initval=5")
    assert (table.incr("a"), table.incr("a", 10), table.incr("a", -20)) == (6, 16, -4)
    table["s"] = "41"
    assert table.incr("s") == 42
    assert table["s"] == 42


def test_an_increment_beyond_64_bits_is_refused() -> None:
    table, _ = make_table()
    table["a"] = MAX_INTEGER
    with pytest.raises(ValueError, match="overflow"):
        table.incr("a")
    assert table["a"] == MAX_INTEGER


def test_an_increment_renews_the_time_like_a_set() -> None:
    table, hands = make_table("t=>autoexpire=10")
    table.incr("a")
    hands.seconds += 4
    table.incr("a")
    assert table.ttl("a") == 10
    hands.seconds += 10
    assert table.incr("a") == 1


def test_keys_come_in_order() -> None:
    table, _ = make_table()
    for key in ["b", "a", "c2", "c1", "d"]:
        table[key] = key
    table.delete("d")
    table["e"] = "e"
    assert list(table) == ["a", "b", "c1", "c2", "e"]
    assert table.scan(after="b", count=2) == ["c1", "c2"]
    assert table.scan(prefix="c") == ["c1", "c2"]
    assert table.scan(after="c1", prefix="c") == ["c2"]
    assert next(iter(table.items())) == ("a", "a")


def test_a_listing_shows_nothing_past_its_time() -> None:
    table, hands = make_table()
    table.set("a", "x", ttl=0.5)
    table["b"] = "x"
    hands.seconds += 0.6
    assert list(table) == ["b"]
    assert table.scan() == ["b"]


def test_deletes_by_pattern() -> None:
    table, _ = make_table()
    for key, value in {"ann": "red", "bob": "blue", "Anna": "red", "n": 5}.items():
        table.set(key, value)
    assert table.match(MatchKind.REGEX, "^an") == ["Anna", "ann"]
    assert table.match(MatchKind.PREFIX, "an") == ["ann"]
    assert table.match(MatchKind.SUFFIX, "na") == ["Anna"]
    assert table.match(MatchKind.CONTAINS, "lu", MatchOn.VALUE) == ["bob"]
    assert table.match(MatchKind.REGEX, "5", MatchOn.VALUE) == []
    assert table.delete_matching(MatchKind.REGEX, "red", MatchOn.VALUE) == 2
    assert list(table) == ["bob", "n"]
    with pytest.raises(PatternError):
        table.match(MatchKind.REGEX, "(")
    with pytest.raises(PatternError):  # Perl's, which no Kamailio knows
        table.match(MatchKind.REGEX, r"\d")


def test_kinds_and_places_are_taken_as_words() -> None:
    table, _ = make_table()
    table.set("one", "x")
    table.set("two", "one")
    assert table.match("prefix", "one", "value") == ["two"]
    assert table.delete_matching("contains", "on", "name") == 1
    for kind, on in (("glob", "name"), ("prefix", "key"), ("PREFIX", "name")):
        with pytest.raises(ValueError):
            table.match(kind, "t", on)
        with pytest.raises(ValueError):
            table.delete_matching(kind, "t", on)
    assert len(table) == 1


def test_a_flush_empties_the_table_and_later_writes_stay() -> None:
    table, _ = make_table()
    table["a"] = "x"
    table.incr("n")
    assert table.flush() == 2
    assert (len(table), list(table), table.text_bytes) == (0, [], 0)
    table["a"] = "y"
    assert table.incr("n") == 1
    assert table.cells["a"].stamp > table.floor


def test_a_flush_kills_what_is_ahead_too_and_nothing_that_others_write_after_it() -> None:
    changed: list[str] = []
    listener = TableListener(lambda cell: changed.append(cell.key))
    here, hands = make_arrivals(identity="here", listener=listener)
    there, _ = make_arrivals(hands=hands, identity="there")
    here.table["old"] = "x"
    here.merge_rows([Row("ahead", "x", here.table.clock.version() + version_at(3_000))], "fast")
    changed.clear()
    assert here.table.flush() == 2
    assert len(here.table) == 0 and changed == ["ahead"]
    assert ms_of(here.table.floor) == hands.wall_ms()
    hands.seconds += 0.001
    there.table["new"] = "y"
    here.merge_rows(rows_of(there.table, "new"), "there")
    assert here.table["new"] == "y"
    here.table["old"] = "z"
    assert here.table.flush() == 2
    here.table["old"] = "z"
    assert here.table.flush() == 1
    assert ms_of(here.table.floor) == hands.wall_ms()


def summed(table: Table) -> list[int]:
    """The digest's leaves, computed anew."""
    leaves = [0] * len(table.digest.leaves)
    for cell in table.cells.values():
        leaves[cell.hash >> table.digest.shift] += cell_digest(cell)
    return leaves


operations = st.lists(
    st.tuples(
        st.sampled_from(["set", "int", "delete", "incr", "expire", "wait", "sweep", "flush", "collect"]),
        st.sampled_from("abcde"),
        st.integers(0, 30),
    ),
    max_size=40,
)


@given(operations)
def test_the_books_always_agree_with_the_cells(steps: list[tuple[str, str, int]]) -> None:
    table, hands = make_table("t=>autoexpire=20", limits=TableLimits(tombstone_ttl=15))
    for what, key, number in steps:
        match what:
            case "set":
                table.set(key, "v" * number, ttl=number)
            case "int":
                table[key] = number
            case "delete":
                table.delete(key)
            case "incr" if isinstance(table.get(key, 0), int):
                table.incr(key, number)
            case "expire":
                table.expire(key, number)
            case "wait":
                hands.seconds += number / 2
            case "sweep":
                table.sweep(100)
            case "flush" if number > 25:
                table.flush()
            case "collect":
                table.collect(100, held=False)
        living: list[Cell] = [cell for cell in table.cells.values() if cell.value is not None]
        assert table.live == len(living)
        assert table.digest.leaves == summed(table)
        assert table.text_bytes == sum(size_of(c.key) + size_of(c.value) for c in living)
        assert set(table.tombstones) == set(table.cells) - {cell.key for cell in living}
        assert list(table) == sorted(cell.key for cell in living if cell.expires > hands.seconds)


def test_a_large_table_gets_more_leaves_with_the_same_sums() -> None:
    table, _ = make_table()
    for number in range(16 * 256 + 2):
        table[f"k{number}"] = "x"
    assert table.digest.depth == 3
    assert table.digest.leaves == summed(table)


def test_tombstones_are_forgotten_after_their_time_unless_held() -> None:
    table, hands = make_table()
    table["a"] = "x"
    table.delete("a")
    hands.seconds += table.limits.tombstone_ttl * 1.2
    assert table.collect(10, held=True) == 0
    assert table.collect(10, held=False) == 1
    assert not table.cells


def test_the_number_of_tombstones_is_bounded() -> None:
    table, _ = make_table(limits=TableLimits(tombstone_limit=3))
    for key in "abcde":
        table[key] = "x"
        table.delete(key)
    table.collect(100, held=True)
    assert list(table.tombstones) == ["c", "d", "e"]


def test_an_increment_that_is_refused_leaves_nothing_behind() -> None:
    table, _ = make_table()
    table["plain"] = 7
    before = books(table)
    for key, by in (("new", 1 << 63), ("plain", MAX_INTEGER), ("plain", 1.5), ("new", True)):
        with pytest.raises(ValueError, match="increment"):
            table.incr(key, by)  # type: ignore[arg-type]
    assert books(table) == before
    assert table.cells["plain"].counts is None


def test_a_counter_never_holds_what_others_cannot_read() -> None:
    table, _ = make_table()
    table["a"] = "9999999999999999999"
    with pytest.raises(ValueError, match="not an integer"):
        table.incr("a", -(10**18))
    table["b"] = -MAX_INTEGER
    assert table.incr("b", MAX_INTEGER) == 0
    assert table.incr("b", MAX_INTEGER) == MAX_INTEGER
    with pytest.raises(ValueError, match="overflow"):
        table.incr("b", 1)
    rows_of(table, "a", "b")
