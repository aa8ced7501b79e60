"""What is remembered of removals: for its time, and bounded by number and by bytes."""

from __future__ import annotations

import pytest

from dmqcache.peers import remembered
from dmqcache.peers.remembered import Remembered

NOW = 1000.0
MANY = 3000


def test_each_for_its_own_time() -> None:
    gone: Remembered[str] = Remembered()
    for number in range(MANY):
        gone.add(f"long{number}", "x", NOW + 10_000)
    gone.add("short", 7, NOW + 1)
    assert (gone.get("short"), gone.get("never there"), len(gone)) == (7, None, MANY + 1)
    gone.sweep(NOW, 10)
    assert gone.get("short") == 7
    gone.sweep(NOW + 1, 10)
    assert (gone.get("short"), gone.get("long0")) == (None, "x")
    gone.sweep(NOW + 10_000, MANY - 1)
    assert len(gone) == 1
    gone.sweep(NOW + 10_000, MANY)
    assert (len(gone), gone.bytes) == (0, 0)


def test_again_and_again_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    gone: Remembered[str] = Remembered()
    for number in range(MANY):
        gone.add(f"again{number % 10}", number, NOW + number)
    assert (len(gone), gone.get("again3")) == (10, MANY - 7)
    assert len(gone._times) <= 2 * 10 + 1001 and len(gone._numbered) == 10
    gone.forget("again3")
    gone.forget("again3")
    gone.sweep(NOW + MANY - 2, MANY)
    assert (gone.get("again3"), gone.get("again9"), len(gone)) == (None, MANY - 1, 1)


def test_the_oldest_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "MAX_REMEMBERED", 2)
    gone: Remembered[str] = Remembered()
    for key in "abac":
        gone.add(key, key, NOW)
    assert [gone.get(key) for key in "abc"] == ["a", None, "c"]


def test_long_keys_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "MAX_BYTES", 100_000)
    gone: Remembered[str] = Remembered()
    for number in range(100):
        gone.add(f"{number}{'x' * 10_000}", 1, NOW)
    assert 5 < len(gone) < 10 and gone.bytes <= 100_000 and len(gone._numbered) == len(gone)
