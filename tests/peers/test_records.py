"""What a mirror keeps: for its time, bounded, counted, and what was removed stays so."""

from __future__ import annotations

import pytest

from dmqcache.peers import records, remembered
from dmqcache.peers.records import SPARE, SWEPT, Records, RecordsFull
from dmqcache.peers.remembered import REMEMBERED_S

NOW = 1000.0


class Kept:
    """Records whose words are their own texts, and what was told of their changes."""

    def __init__(self) -> None:
        self.told: list[tuple[str | None, str | None]] = []
        self.records: Records[str, str] = Records(
            lambda record, stale: f"{record}{' stale' if stale else ''}",
            lambda before, after: self.told.append((before, after)),
        )

    def counted(self) -> dict[str, int]:
        return {word: count for word, count in self.records.counted.items() if count}


def test_each_change_is_told_and_counted_once() -> None:
    kept = Kept()
    kept.records.put("a", "one", NOW, NOW + 60)
    kept.records.put("b", "one", NOW, NOW + 60)
    kept.records.put("a", "two", NOW, NOW + 60)
    assert (kept.counted(), len(kept.records), kept.records.listed()) == ({"one": 1, "two": 1}, 2, ["a", "b"])
    assert kept.records.remove("a", "", NOW) == "two"
    assert kept.told == [(None, "one"), (None, "one"), ("one", "two"), ("two", None)]
    assert (kept.counted(), kept.records.get("a"), kept.records.get("b")) == ({"one": 1}, None, "one")


def test_a_record_is_stale_and_then_leaves() -> None:
    kept = Kept()
    kept.records.put("a", "one", NOW, NOW + 60, NOW + 30)
    assert kept.records.sweep(NOW + 29) == []
    assert not kept.records.is_stale("a")
    assert kept.records.sweep(NOW + 30) == []
    assert kept.records.is_stale("a")
    assert kept.counted() == {"one stale": 1}
    assert kept.records.sweep(NOW + 59) == []
    assert kept.records.sweep(NOW + 60) == [("a", "one")]
    assert (kept.counted(), len(kept.records), kept.told[-1]) == ({}, 0, ("one", None))


def test_a_change_moves_the_time() -> None:
    kept = Kept()
    kept.records.put("a", "one", NOW, NOW + 60)
    kept.records.put("a", "one", NOW, NOW + 600)
    assert kept.records.sweep(NOW + 300) == []
    kept.records.put("b", "old", NOW + 300, NOW + 400, NOW)
    assert kept.records.is_stale("b")
    assert kept.records.sweep(NOW + 700) == [("b", "old"), ("a", "one")]


def test_nothing_is_kept_of_times_and_words_that_are_nobodys_any_more() -> None:
    kept = Kept()
    for number in range(5000):
        kept.records.put("a", f"word {number}", NOW, NOW + 10_000 - number)
    assert kept.records.counted == {"word 4999": 1}
    assert len(kept.records._due) == 1 and len(kept.records._seconds) <= SPARE + 3
    assert kept.records.sweep(NOW + 5000) == []
    assert kept.records.sweep(NOW + 5001) == [("a", "word 4999")]
    assert kept.records.counted == {} and kept.records.sweep(NOW + 20_000) == []


def test_what_was_removed_is_remembered_for_a_while() -> None:
    kept = Kept()
    kept.records.put("a", "one", NOW, NOW + 60)
    kept.records.remove("a", "its name", NOW)
    assert kept.records.remove("never there", 7, NOW) is None
    assert (kept.records.removed("a"), kept.records.removed("never there")) == ("its name", 7)
    kept.records.sweep(NOW + REMEMBERED_S - 1)
    assert (kept.records.removed("a"), kept.records.idle) == ("its name", False)
    kept.records.sweep(NOW + REMEMBERED_S)
    assert (kept.records.removed("a"), kept.records.idle) == (None, True)
    kept.records.remove("a", "its name", NOW)
    kept.records.put("a", "another", NOW, NOW + 60)
    assert kept.records.removed("a") is None


def test_their_number_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_RECORDS", 2)
    monkeypatch.setattr(remembered, "MAX_REMEMBERED", 2)
    kept = Kept()
    for key in "ab":
        kept.records.put(key, "one", NOW, NOW + 60)
    with pytest.raises(RecordsFull):
        kept.records.put("c", "one", NOW, NOW + 60)
    kept.records.put("a", "changed", NOW, NOW + 60)
    for key in "abc":
        kept.records.remove(key, key, NOW)
    assert [kept.records.removed(key) for key in "abc"] == [None, "b", "c"]


def test_many_that_are_over_at_once_leave_step_by_step() -> None:
    kept = Kept()
    for number in range(SWEPT + 5):
        kept.records.put(str(number), "one", NOW, NOW + 60)
    assert len(kept.records.sweep(NOW + 60)) == SWEPT
    assert len(kept.records.sweep(NOW + 60)) == 5
    assert kept.records.sweep(NOW + 60) == []
    assert (kept.counted(), len(kept.records)) == ({}, 0)


def test_their_bytes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_BYTES", 30_000)
    kept = Kept()
    for key in "ab":
        kept.records.put(key, key * 10_000, NOW, NOW + 60)
    before = kept.records.bytes
    assert 20_000 < before <= 30_000
    for key in "ca":  # A new one, and one that would grow.
        with pytest.raises(RecordsFull):
            kept.records.put(key, "c" * 20_000, NOW, NOW + 60)
    assert (kept.records.listed(), kept.records.bytes) == (["a", "b"], before)
    kept.records.put("a", "less", NOW, NOW + 60)
    kept.records.put("c", "c" * 9_000, NOW, NOW + 60)
    kept.records.remove("b", 1, NOW)
    kept.records.sweep(NOW + 60)
    assert (len(kept.records), kept.records.bytes) == (0, 0)


def test_what_does_not_grow_is_kept_though_it_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept()
    kept.records.put("a", "one", NOW, NOW + 60)
    monkeypatch.setattr(records, "MAX_BYTES", 10)
    kept.records.put("a", "two", NOW, NOW + 60)
    assert kept.records.get("a") == "two"


def test_what_is_remembered_for_long_keeps_nothing_else_from_being_forgotten() -> None:
    kept = Kept()
    for number in range(SWEPT + 10):
        kept.records.remove(f"long{number}", "x", NOW, NOW + 10_000)
    for number in range(50):
        kept.records.remove(f"short{number}", "x", NOW)
    kept.records.sweep(NOW + REMEMBERED_S)
    assert kept.records.removed("short49") is None
    assert kept.records.removed("long0") == "x"
