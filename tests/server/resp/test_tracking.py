"""Who has read what, and is told of its change: once; with prefixes always; bounded."""

from __future__ import annotations

import pytest

from dmqcache.server.resp import tracking as module
from dmqcache.server.resp.tracking import Tracking
from tests.server.fakes import FakeNode


class Reader:
    def __init__(self) -> None:
        self.tracked: tuple[str, ...] | None = None
        self.redirect = 0
        self.redirect_broken = False
        self.resp3 = True
        self.only_listens = False
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
    tracking = Tracking(node.tables, {})
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
    tracking = Tracking(node.tables, {})
    tracking.begin(reader, ("user:", "x"))
    tracking.begin(all_of_them, ("",))
    for key in ("user:a", "user:a", "other", "xy"):
        node.tables["cache"].set(key, "v")
    assert reader.keys() == ["user:a", "user:a", "xy"]
    assert all_of_them.keys() == ["user:a", "user:a", "other", "xy"]


def test_nobody_pays_when_nobody_tracks_and_nothing_stays() -> None:
    node, reader = FakeNode(), Reader()
    tracking = Tracking(node.tables, {})
    tracking.begin(reader, ())
    tracking.read(reader, "a")
    assert node.tables["cache"].is_watched
    tracking.end(reader)
    tracking.end(reader)
    assert not node.tables["cache"].is_watched
    assert tracking._readers == {}


def test_keys_are_bounded_and_what_is_forgotten_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_READS", 2)
    tracking, reader = Tracking(FakeNode().tables, {}), Reader()
    tracking.begin(reader, ())
    for key in ("a", "b", "b", "c"):
        tracking.read(reader, key)
    assert reader.keys() == ["a"]


def test_nobody_is_told_of_what_he_may_not_read() -> None:
    node, reader, watcher, free = FakeNode("cache", "secret"), Reader(), Reader(), Reader()
    cache, secret = node.tables.values()
    tracking = Tracking(node.tables, {})
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


def test_another_client_is_told_if_it_is_there_and_may_hear_it() -> None:
    node, reader, ear = FakeNode("cache", "secret"), Reader(), Reader()
    cache, secret = node.tables.values()
    clients = {7: ear}
    tracking = Tracking(node.tables, clients)
    reader.resp3 = ear.resp3 = False
    tracking.begin(reader, ("a",), 7)
    cache.set("a", "x")
    assert ear.got == []  # it subscribes to nothing: a message would be taken for a reply
    ear.only_listens = True
    ear.closed = {("secret", "a"), ("secret", "")}
    for table in (secret, cache):
        table.set("a", "x")
        table.flush()
    message = b"*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n"
    assert ear.got == [message + b"*1\r\n$1\r\na\r\n", message + b"$-1\r\n"]
    assert not reader.redirect_broken
    del clients[7]
    cache.set("a", "x")
    assert reader.redirect_broken and reader.got == []
    reader.resp3 = True
    cache.set("a", "y")
    assert reader.got == [b">2\r\n$21\r\ntracking-redir-broken\r\n:7\r\n"]
    tracking.begin(reader, (), 0)
    assert not reader.redirect_broken


def test_what_is_forgotten_is_told_to_who_may_hear_of_it_in_any_table(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_READS", 1)
    reader, ear = Reader(), Reader()
    tracking = Tracking(FakeNode("cache", "secret").tables, {7: ear})
    tracking.begin(reader, (), 7)
    ear.closed = {("secret", "a")}
    for key in ("a", "b", "c"):
        tracking.read(reader, key)
    assert ear.keys() == ["b"]
