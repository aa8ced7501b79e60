"""The number that stands for a cell: the same on every node for the same state, another for any other."""

from __future__ import annotations

from dmqcache.store.table.cell import DEFAULT_TTL, PROVISIONAL, Cell, cell_digest, key_hash
from dmqcache.store.table.counts import Counts, Share


def cell(
    value: str | int | None = "x",
    stamp: int = 1000,
    ttl: int = 0,
    flags: int = 0,
    shares: dict[str, Share] | None = None,
    base: int = 0,
    key: str = "k",
) -> Cell:
    counts = Counts(base, shares) if shares is not None else None
    return Cell(key, key_hash(key), value, stamp, ttl, flags=flags, counts=counts)


def test_hashes_are_odd_64_bit_numbers_of_the_bytes_alone() -> None:
    hashes = {key_hash(f"k{number}") for number in range(10_000)}
    assert all(number & 1 and number < 1 << 64 for number in hashes)
    assert len(hashes) > 9_990
    assert len({number >> 56 for number in hashes}) == 256
    assert key_hash("\udcff") != key_hash("ÿ")


def test_every_part_of_a_state_counts() -> None:
    states = [
        cell(),
        cell("y"),
        cell(""),
        cell(0),
        cell(1),
        cell("1"),
        cell(stamp=1001),
        cell(ttl=5),
        cell(key="l"),
        cell("\udcff"),
        cell("ÿ"),
        cell(7, shares={}, base=7),
        cell(7, shares={"a": Share(5, 7)}),
        cell(7, shares={"b": Share(5, 7)}),
        cell(7, shares={"a": Share(6, 7)}),
        cell(7, shares={"a": Share(6, 7, 5)}),
        cell(7, shares={"a": Share(5, 3), "b": Share(5, 4)}),
    ]
    assert len({cell_digest(state) for state in states}) == len(states)


def test_a_tombstone_counts_nothing_and_a_version_given_on_arrival_neither() -> None:
    assert cell_digest(cell(None)) == 0
    arrived = PROVISIONAL | DEFAULT_TTL
    assert cell_digest(cell(flags=arrived)) == cell_digest(cell(stamp=2000, ttl=7, flags=arrived))
    assert cell_digest(cell(flags=PROVISIONAL)) != cell_digest(cell(ttl=7, flags=PROVISIONAL))
    assert cell_digest(cell(flags=PROVISIONAL)) != cell_digest(cell("y", flags=PROVISIONAL))
    assert cell_digest(cell(flags=DEFAULT_TTL)) == cell_digest(cell())


def test_no_cell_counts_nothing() -> None:
    for value in ("", 0, "0", "\udcff"):
        for flags in (0, PROVISIONAL, PROVISIONAL | DEFAULT_TTL):
            assert cell_digest(Cell("k", key_hash("k"), value, 0, flags=flags)) != 0


def test_a_counters_shares_count_in_no_order() -> None:
    one, two = Share(5, 3), Share(9, 4)
    assert cell_digest(cell(7, shares={"a": one, "b": two})) == cell_digest(
        cell(7, shares={"b": two, "a": one})
    )


def test_a_counters_version_is_its_last_increments() -> None:
    assert cell(7, stamp=10, shares={"a": Share(50, 3)}).last_modified() == 50
    assert cell(7, stamp=99, shares={"a": Share(50, 3)}).last_modified() == 99
    assert cell(7, stamp=99).last_modified() == 99
    assert Counts(5, {"a": Share(50, 3), "b": Share(60, -1)}).total() == 7
