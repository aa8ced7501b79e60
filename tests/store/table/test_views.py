"""A table is a mapping in truth, and one of bytes if somebody wants that."""

from __future__ import annotations

from collections.abc import MutableMapping

import pytest

from dmqcache.store.table.views import API
from dmqcache.sync_table import SyncTable
from tests.store.fixtures import make_table


def test_a_table_does_all_that_a_dict_does() -> None:
    table, _ = make_table()
    assert isinstance(table, MutableMapping)
    table.update({"b": 2, "a": "x"}, c="y")
    assert list(table.keys()) == ["a", "b", "c"]
    assert list(table.values()) == ["x", 2, "y"]
    assert list(table.items()) == [("a", "x"), ("b", 2), ("c", "y")]
    assert ("a", "x") in table.items() and 2 in table.values() and "z" not in table.values()
    assert len(table.items()) == len(table.values()) == 3
    assert table.keys() & {"a", "z"} == {"a"}
    assert dict(table) == {"a": "x", "b": 2, "c": "y"}
    assert {**table} == dict(table.items())
    assert table.setdefault("a", "other") == "x"
    assert table.setdefault("d", "new") == "new"
    assert table.pop("d") == "new"
    assert table.pop("d", "none") == "none"
    with pytest.raises(KeyError):
        table.pop("d")
    assert table.popitem() == ("a", "x")
    table.clear()
    assert not table
    with pytest.raises(KeyError, match="empty"):
        table.popitem()
    assert "t" in repr(table)


def test_a_table_is_equal_to_a_mapping_of_the_same_keys_and_values() -> None:
    one, _ = make_table()
    other, _ = make_table()
    assert one == one and one == other == {}
    one.set("a", "x", ttl=60)
    one["n"] = 1
    assert one == {"n": 1, "a": "x"}
    assert one != other and one != {"a": "x"} and one != {"a": "x", "n": "1"} and one != [("a", "x")]
    other.update(one)
    assert one == other
    assert one.counters.hits == 2, "comparing counts no hits; update reads"
    with pytest.raises(TypeError, match="unhashable"):
        hash(one)
    assert one.bytes == {b"a": b"x", b"n": b"1"}


def test_what_expires_while_it_is_looked_through_is_left_out() -> None:
    table, hands = make_table()
    table.set("a", "x")
    table.set("b", "x", ttl=5)
    table.set("c", "x")
    keys, items = iter(table), iter(table.items())
    assert (next(keys), next(items)) == ("a", ("a", "x"))
    hands.seconds += 10
    assert (list(keys), list(items)) == (["c"], [("c", "x")])


def test_looking_through_values_counts_no_hits() -> None:
    table, _ = make_table()
    table["a"] = "x"
    assert list(table.values()) == ["x"] and dict(table.items()) == {"a": "x"}
    assert table.counters.hits == 0


def test_bytes_in_and_bytes_out() -> None:
    table, _ = make_table()
    raw = table.bytes
    raw[b"\xff\x00"] = b"\x00\xfe"
    raw[b"text"] = "é".encode()
    table["number"] = 5
    assert raw[b"\xff\x00"] == b"\x00\xfe"
    assert raw[b"number"] == b"5"
    assert table["text"] == "é"
    assert dict(raw) == {b"number": b"5", b"text": "é".encode(), b"\xff\x00": b"\x00\xfe"}
    assert (b"text" in raw, "text" in raw, len(raw), raw.get(b"nope")) == (True, False, 3, None)
    with pytest.raises(KeyError, match="b'nope'"):
        del raw[b"nope"]
    with pytest.raises(KeyError, match="b'nope'"):
        _ = raw[b"nope"]
    with pytest.raises(TypeError, match="not str"):
        raw["text"] = b""  # type: ignore[index]
    assert raw.pop(b"text") == "é".encode()
    raw.clear()
    assert len(table) == 0


def test_what_is_shown_of_a_table_is_its_api() -> None:
    """Each of these names is there and tells what it does; what the store does with cells is not shown."""
    table, _ = make_table()
    shown = {name for name in dir(table) if name[0] != "_"}
    assert shown == API
    assert not shown & {"cells", "raise_floor", "rewrite", "redate", "touched", "sweep", "forgot"}
    for name in shown - {"name", "settings"}:
        assert getattr(type(table), name).__doc__, name
    assert {"__getitem__", "__len__", "__iter__", "__contains__"} <= set(dir(table))
    sync = {name for name in dir(SyncTable) if name[0] != "_"}
    assert sync - {"copy"} == shown, "a table of a node in a thread has the same, and copy()"


def test_to_look_through_bytes_counts_no_hits_and_leaves_out_what_goes_meanwhile() -> None:
    table, hands = make_table()
    table.update(a="x", b=2)
    table.set("timed", "x", ttl=5)
    raw = table.bytes
    items = iter(raw.items())
    assert next(items) == (b"a", b"x")
    hands.seconds += 6
    assert list(items) == [(b"b", b"2")]
    assert list(raw.values()) == [b"x", b"2"] and b"2" in raw.values() and b"3" not in raw.values()
    assert raw == {b"a": b"x", b"b": b"2"} and (b"b", b"2") in raw.items() and len(raw.items()) == 2
    assert table.counters.hits == 1, "the one of `in items()`"
    assert repr(raw).endswith("cells>.bytes")
