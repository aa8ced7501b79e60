"""A table of a node in a thread: all that a table has, from any other thread."""

from __future__ import annotations

import gc
import threading
from contextlib import suppress
from datetime import timedelta

import pytest

from dmqcache import Change, SyncCacheNode
from tests.test_cache_node_start import free
from tests.waiting import wait_until


def test_a_table_is_a_mapping_from_any_thread() -> None:
    with SyncCacheNode(server_address=free("127.0.0.88"), tables=["t"]) as node:
        node.wait_ready(20)
        assert node.ready
        table = node.table("t")
        table["a"] = "x"
        table.update({"b": 2}, c=b"\xff")
        assert table.setdefault("a", "other") == table.setdefault("a") == "x"
        with pytest.raises(ValueError, match="not NoneType"):
            table.setdefault("new")
        assert dict(table) == table.copy() == {"a": "x", "b": 2, "c": "\udcff"}
        assert (len(table), "a" in table, table.get("nope", 7)) == (3, True, 7)
        assert (list(table), table.scan(prefix="b"), table.match("prefix", "c")) == (
            ["a", "b", "c"],
            ["b"],
            ["c"],
        )
        assert table.pop("a") == "x"
        with pytest.raises(KeyError):
            del table["a"]
        assert not table.delete("a")
        table.set("timed", "x", ttl=timedelta(minutes=1))
        assert 59 < (table.ttl("timed") or 0) <= 60
        assert table.expire("timed", 0)
        assert table.ttl("timed") is None
        threads = [threading.Thread(target=lambda: [table.incr("n") for _ in range(200)]) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert table["n"] == 1_000
        assert node.call(lambda: node.node.table("t").incr("n")) == 1_001
        assert node.wait_replicated(timeout=5) == 0
        assert not node.wait_on_disk(1)
        table.clear()
        assert not table


def test_a_table_in_a_thread_has_all_that_a_table_has() -> None:
    with SyncCacheNode(server_address=free("127.0.0.88"), tables=["t"]) as node:
        table = node.table("t")
        table.bytes[b"a\xff"] = b"\xfe"
        assert dict(table) == table == {"a\udcff": "\udcfe"} == table.copy()
        assert dict(table.bytes) == {b"a\xff": b"\xfe"} and b"a\xff" in table.bytes and len(table.bytes) == 1
        assert table.bytes.pop(b"a\xff") == b"\xfe"
        with pytest.raises(KeyError):
            del table.bytes[b"a\xff"]
        with pytest.raises(TypeError, match="bytes of a table"):
            table.bytes["text"] = b"x"  # type: ignore[index]
        table.bytes.clear()
        table.update(a="x", b=2)
        assert table == node.table("t") and table != {} and table != 7
        assert (list(table.items()), list(table.values())) == ([("a", "x"), ("b", 2)], ["x", 2])
        assert table.popitem() == ("a", "x")
        assert table.takes("x") and not table.takes(1 << 70)
        with pytest.raises(ValueError):
            table.check("", "x")
        assert (table.name, table.settings.name) == ("t", "t")
        assert table.delete_matching("prefix", "b") == 1
        table["c"] = "x"
        assert table.flush() == 1 and not table
        with pytest.raises(TypeError, match="unhashable"):
            hash(table)


def test_a_thread_waits_for_changes_until_it_closes_or_the_node_stops() -> None:
    seen: list[Change] = []
    with SyncCacheNode(server_address=free("127.0.0.88"), tables=["t"]) as node:
        table = node.table("t")
        with table.watch("a") as changes:
            table["a1"] = "x"
            table["b"] = "x"
            table["a2"] = "y"
            assert [next(changes), next(changes)] == [Change("a1", "x"), Change("a2", "y")]
        changes.close()
        assert list(changes) == []
        waiting = threading.Thread(target=lambda: seen.extend(table.watch()))
        waiting.start()
        wait_until(lambda: table.set("a1", "z") or seen)
    waiting.join(10)
    assert not waiting.is_alive()
    assert Change("a1", "z") in seen


def test_changes_and_kept_results() -> None:
    with SyncCacheNode(server_address=free("127.0.0.88"), tables=["t"]) as node:
        table = node.table("t")
        seen: list[Change] = []
        forget = table.subscribe(seen.append, "a")
        table["a1"] = "x"
        table["b"] = "x"
        wait_until(lambda: seen == [Change("a1", "x")])
        forget()
        table["a2"] = "x"
        calls: list[int] = []

        @table.cached(ttl=60)
        def square(number: int) -> int:
            calls.append(number)
            return number * number

        assert [square(3), square(3), square(4)] == [9, 9, 16]
        assert calls == [3, 4]
        assert [change.key for change in seen] == ["a1"]


def test_a_loop_over_changes_that_is_left_ends_it() -> None:
    with SyncCacheNode(server_address=free("127.0.0.88"), tables=["t"]) as node:
        table = node.table("t")
        changes = table.watch("a")
        table["a1"] = "x"
        assert next(changes) == Change("a1", "x")
        del changes
        wait_until(lambda: gc.collect() >= 0 and not node.node.table("t").is_watched)


def test_bytes_of_one_moment_and_each_call_as_one() -> None:
    with SyncCacheNode(server_address=free("127.0.0.88"), tables=["t"]) as node:
        raw = node.table("t").bytes
        raw.update({b"a": b"x", b"b": b"2"})
        for key, value in raw.items():
            assert raw.pop(key, value) == value
            raw.clear()
            raw[b"c"] = value
        assert raw == {b"c": b"2"} and list(raw.values()) == [b"2"]
        assert (raw.setdefault(b"c", b"y"), raw.setdefault(b"d", b"y")) == (b"2", b"y")
        taken: list[tuple[bytes, bytes]] = []
        raw.update({b"%d" % number: b"x" for number in range(400)})

        def take() -> None:
            with suppress(KeyError):
                while raw:
                    taken.append(raw.popitem())

        threads = [threading.Thread(target=take) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(taken) == len(set(taken)) == 402
