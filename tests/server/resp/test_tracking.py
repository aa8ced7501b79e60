"""Who has read what, and is told of its change: once; with prefixes always; bounded."""

from __future__ import annotations

import pytest

from dmqcache.server.resp import tracking as module
from dmqcache.server.resp.tracking import Tracking
from tests.server.fakes import FakeNode


class Reader:
    def __init__(self) -> None:
        self.tracked: tuple[str, ...] | None = None
        self.got: list[bytes] = []
        #: Tables and keys of whose changes it may not hear.
        self.closed: set[tuple[str, str]] = set()

    def may_hear(self, table: str, key: str) -> bool:
        return (table, key) not in self.closed

    def push(self, data: bytes) -> None:
        self.got.append(data)

    def keys(self) -> list[str]:
        """What it was told of since it was asked last."""
        told, self.got = [data.decode().split("\r\n") for data in self.got], []
        return [parts[-2] for parts in told]


def test_a_key_that_was_read_is_told_once_whatever_happens_to_it() -> None:
    node, reader, other = FakeNode("cache", "more"), Reader(), Reader()
    cache, more = node.tables.values()
    tracking = Tracking(node.tables)
    tracking.begin(reader, ())
    tracking.begin(other, ())
    for key in ("a", "b", "c"):
        tracking.read(reader, key)
    tracking.read(other, "a")
    cache.set("a", "x")
    cache.set("a", "y")
    more.set("b", "x")
    cache.set("never read", "x")
    assert (reader.keys(), other.keys()) == (["a", "b"], ["a"])
    tracking.read(reader, "a")
    cache.expire("a", 5)
    tracking.read(reader, "a")
    node.time.seconds += 6
    assert cache.get("a") is None
    assert reader.keys() == ["a", "a"]
    cache.flush()
    assert reader.got == [b">2\r\n$10\r\ninvalidate\r\n_\r\n"]
    cache.set("c", "x")
    assert len(reader.got) == 1


def test_prefixes_are_told_always() -> None:
    node, reader, all_of_them = FakeNode(), Reader(), Reader()
    tracking = Tracking(node.tables)
    tracking.begin(reader, ("user:", "x"))
    tracking.begin(all_of_them, ("",))
    for key in ("user:a", "user:a", "other", "xy"):
        node.tables["cache"].set(key, "v")
    assert reader.keys() == ["user:a", "user:a", "xy"]
    assert all_of_them.keys() == ["user:a", "user:a", "other", "xy"]


def test_nobody_pays_when_nobody_tracks_and_nothing_stays() -> None:
    node, reader = FakeNode(), Reader()
    tracking = Tracking(node.tables)
    tracking.begin(reader, ())
    tracking.read(reader, "a")
    assert node.tables["cache"].is_watched
    tracking.end(reader)
    tracking.end(reader)
    assert not node.tables["cache"].is_watched
    assert tracking._readers == {}


def test_keys_are_bounded_and_what_is_forgotten_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_READS", 2)
    tracking, reader = Tracking(FakeNode().tables), Reader()
    tracking.begin(reader, ())
    for key in ("a", "b", "b", "c"):
        tracking.read(reader, key)
    assert reader.keys() == ["a"]


def test_nobody_is_told_of_what_he_may_not_read() -> None:
    node, reader, watcher, free = FakeNode("cache", "secret"), Reader(), Reader(), Reader()
    cache, secret = node.tables.values()
    tracking = Tracking(node.tables)
    tracking.begin(reader, ())
    tracking.begin(watcher, ("",))
    tracking.begin(free, ())
    for one in (reader, watcher):
        one.closed = {("secret", "a"), ("secret", "")}
    for one in (reader, free):
        tracking.read(one, "a")
    secret.set("a", "x")
    assert (reader.keys(), watcher.keys(), free.keys()) == ([], [], ["a"])
    tracking.read(free, "a")
    secret.flush()
    assert (reader.got, watcher.got, len(free.got)) == ([], [], 1)
    cache.set("a", "x")
    assert (reader.keys(), watcher.keys(), len(free.got)) == (["a"], ["a"], 1)
    assert (tracking._readers, tracking._reads) == ({}, 0)
