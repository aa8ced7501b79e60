"""Which tombstones are forgotten, and that expiries never push out a delete."""

from __future__ import annotations

from dmqcache.store.table.tombstones import Tombstones


def test_the_oldest_go_when_they_are_old_unless_they_are_held() -> None:
    tombstones = Tombstones()
    for number, key in enumerate("abc"):
        tombstones.add(key, float(number), expired=False)
    tombstones.add("x", 0.5, expired=True)
    assert tombstones.due(10, oldest=1.0, most=100, held=False) == ["x", "a", "b"]
    assert tombstones.due(10, oldest=1.0, most=100, held=True) == ["x"]
    assert tombstones.due(2, oldest=9.0, most=100, held=False) == ["x", "a"]


def test_what_exceeds_the_limit_goes_though_it_is_held_and_each_queue_has_its_own() -> None:
    tombstones = Tombstones()
    for number in range(5):
        tombstones.add(f"d{number}", float(number), expired=False)
    for number in range(50):
        tombstones.add(f"x{number}", 10.0 + number, expired=True)
    assert [key for key in tombstones.due(100, oldest=-1.0, most=5, held=True) if key.startswith("d")] == []
    tombstones.add("d5", 5.0, expired=False)
    assert tombstones.due(100, oldest=-1.0, most=5, held=True)[45:] == ["d0"]


def test_a_key_has_one_tombstone_and_none_when_it_lives_again() -> None:
    tombstones = Tombstones()
    tombstones.add("a", 1.0, expired=True)
    tombstones.add("a", 2.0, expired=False)
    tombstones.add("b", 3.0, expired=True)
    assert (list(tombstones), len(tombstones), tombstones.died_at("a")) == (["a", "b"], 2, 2.0)
    tombstones.remove("a")
    tombstones.remove("never there")
    assert list(tombstones) == ["b"] and tombstones.died_at("a") is None
