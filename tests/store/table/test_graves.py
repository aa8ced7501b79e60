"""Which tombstones are forgotten, and that expiries never push out a delete."""

from __future__ import annotations

from dmqcache.store.table.graves import Graves


def test_the_oldest_go_when_their_time_is_over_unless_they_are_held() -> None:
    graves = Graves()
    for number, key in enumerate("abc"):
        graves.bury(key, float(number), over=False)
    graves.bury("x", 0.5, over=True)
    assert graves.due(10, oldest=1.0, most=100, held=False) == ["x", "a", "b"]
    assert graves.due(10, oldest=1.0, most=100, held=True) == ["x"]
    assert graves.due(2, oldest=9.0, most=100, held=False) == ["x", "a"]


def test_what_exceeds_the_limit_goes_though_it_is_held_and_each_queue_has_its_own() -> None:
    graves = Graves()
    for number in range(5):
        graves.bury(f"d{number}", float(number), over=False)
    for number in range(50):
        graves.bury(f"x{number}", 10.0 + number, over=True)
    assert [key for key in graves.due(100, oldest=-1.0, most=5, held=True) if key.startswith("d")] == []
    graves.bury("d5", 5.0, over=False)
    assert graves.due(100, oldest=-1.0, most=5, held=True)[45:] == ["d0"]


def test_a_key_has_one_grave_and_none_when_it_lives_again() -> None:
    graves = Graves()
    graves.bury("a", 1.0, over=True)
    graves.bury("a", 2.0, over=False)
    graves.bury("b", 3.0, over=True)
    assert (list(graves), len(graves), graves.buried_at("a")) == (["a", "b"], 2, 2.0)
    graves.remove("a")
    graves.remove("never there")
    assert list(graves) == ["b"] and graves.buried_at("a") is None
