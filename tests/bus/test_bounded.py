"""What a bounded dictionary keeps and what it drops."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmqcache.bus.bounded import Bounded


def test_the_oldest_is_dropped_when_one_too_many_comes() -> None:
    kept: Bounded[str, int] = Bounded(2)
    kept["a"], kept["b"], kept["c"] = 1, 2, 3
    assert dict(kept) == {"b": 2, "c": 3}
    assert "a" not in kept and kept.get("a") is None


def test_writing_again_makes_a_key_the_newest_and_drops_nothing() -> None:
    kept: Bounded[str, int] = Bounded(2)
    kept["a"], kept["b"] = 1, 2
    kept["a"] = 3
    assert list(kept.items()) == [("b", 2), ("a", 3)]
    kept["c"] = 4
    assert list(kept) == ["a", "c"]


def test_what_is_touched_stays_longer() -> None:
    kept: Bounded[str, int] = Bounded(2)
    kept["a"], kept["b"] = 1, 2
    kept.touch("a")
    kept.touch("nobody")
    kept["c"] = 3
    assert list(kept.items()) == [("a", 1), ("c", 3)]


def test_what_is_used_stays_longer() -> None:
    kept: Bounded[str, int] = Bounded(2)
    kept["a"], kept["b"] = 1, 2
    assert kept.use("a") == 1 and kept.use("nobody") is None
    kept["c"] = 3
    assert list(kept.items()) == [("a", 1), ("c", 3)]


def test_who_asks_hears_of_what_is_dropped_and_of_nothing_else() -> None:
    heard: list[tuple[str, int]] = []
    kept: Bounded[str, int] = Bounded(2, lambda key, value: heard.append((key, value)))
    kept["a"], kept["b"], kept["a"] = 1, 2, 3
    del kept["b"]
    kept["c"] = 4
    assert not heard
    kept["d"] = 5
    assert heard == [("a", 3)]


def test_the_oldest_can_be_let_go_before_the_limit() -> None:
    heard: list[tuple[str, int]] = []
    kept: Bounded[str, int] = Bounded(3, lambda key, value: heard.append((key, value)))
    kept["a"], kept["b"] = 1, 2
    kept.touch("a")
    kept.drop_oldest()
    assert heard == [("b", 2)] and list(kept) == ["a"]
    kept.drop_oldest()
    with pytest.raises(KeyError, match="no entry"):
        kept.drop_oldest()


def test_it_is_a_mapping_like_any_other() -> None:
    kept: Bounded[str, int] = Bounded(3)
    kept.update(a=1, b=2)
    assert kept.setdefault("a", 9) == 1
    assert kept.pop("a") == 1 and kept.pop("a", None) is None
    assert repr(kept) == "<Bounded 1 of 3: {'b': 2}>"
    kept.clear()
    assert not kept
    with pytest.raises(KeyError):
        del kept["b"]


def test_a_limit_that_keeps_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="a limit of 0 entries"):
        Bounded(0)


@given(st.lists(st.integers(0, 9)), st.integers(1, 5))
def test_it_holds_the_keys_written_last(writes: list[int], limit: int) -> None:
    kept: Bounded[int, int] = Bounded(limit)
    for number, key in enumerate(writes):
        kept[key] = number
    newest = list(dict.fromkeys(reversed(writes)))[:limit]
    assert list(kept) == newest[::-1]
    assert all(writes[number] == key for key, number in kept.items())
