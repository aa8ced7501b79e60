"""Who has read what, and is told of its change: once; with prefixes always; bounded."""

from __future__ import annotations

import pytest

from dmqcache.server.resp import tracking as module
from dmqcache.server.resp.tracking import Reads, Tracked, Tracking
from tests.server.fakes import FakeNode


class Reader:
    def __init__(self) -> None:
        self.tracked: Tracked | None = None
        self.hears_resp3 = True
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
    tracking.begin(reader, Tracked())
    tracking.begin(other, Tracked())
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


def test_what_is_remembered_of_what_is_read() -> None:
    told = {how: Tracked(reads=how).remembers for how in Reads}
    assert told == {Reads.ALL: True, Reads.NAMED: False, Reads.NOT_NAMED: True}
    named = {how: Tracked(reads=how, named=True).remembers for how in Reads}
    assert named == {Reads.ALL: True, Reads.NAMED: True, Reads.NOT_NAMED: False}
    assert not Tracked(("",)).remembers


def test_ones_own_change_is_told_beside_or_not_at_all() -> None:
    node, reader, deaf, watcher = FakeNode(), Reader(), Reader(), Reader()
    table = node.tables["cache"]
    tracking = Tracking(node.tables, {})
    tracking.begin(reader, Tracked())
    tracking.begin(deaf, Tracked(noloop=True))
    tracking.begin(watcher, Tracked(("",), noloop=True))
    for one in (reader, deaf):
        tracking.read(one, "a")
    with tracking.acting(reader) as own, tracking.acting(reader) as same:
        table.set("a", "x")
    assert own is same and len(own) == 1 and reader.got == []
    assert (deaf.keys(), watcher.keys()) == (["a"], ["a"])
    for one in (reader, deaf):
        tracking.read(one, "a")
    with tracking.acting(deaf) as own:
        table.set("a", "y", ttl=5)
    with tracking.acting(watcher) as nothing:
        table.set("a", "z", ttl=5)
    assert (own, nothing, deaf.got) == ([], [], [])
    assert (reader.keys(), watcher.keys()) == (["a"], ["a"])
    tracking.read(deaf, "a")
    with tracking.acting(deaf) as own:
        table.flush()
    assert own == [b">2\r\n$10\r\ninvalidate\r\n_\r\n"]


def test_that_a_time_is_over_is_nobodys_change() -> None:
    node, deaf = FakeNode(), Reader()
    tracking = Tracking(node.tables, {})
    tracking.begin(deaf, Tracked(noloop=True))
    node.tables["cache"].set("a", "x", ttl=5)
    tracking.read(deaf, "a")
    node.time.seconds += 6
    with tracking.acting(deaf) as own:
        assert node.tables["cache"].get("a") is None
    assert len(own) == 1


def test_figures() -> None:
    tracking, one, other = Tracking(FakeNode().tables, {}), Reader(), Reader()
    tracking.begin(one, Tracked())
    tracking.begin(other, Tracked(("a", "b")))
    tracking.read(one, "x")
    tracking.read(other, "x")
    assert (tracking.clients, tracking.keys, tracking.reads, tracking.prefixes) == (2, 1, 2, 2)


def test_prefixes_are_told_always() -> None:
    node, reader, all_of_them = FakeNode(), Reader(), Reader()
    tracking = Tracking(node.tables, {})
    tracking.begin(reader, Tracked(("user:", "x")))
    tracking.begin(all_of_them, Tracked(("",)))
    for key in ("user:a", "user:a", "other", "xy"):
        node.tables["cache"].set(key, "v")
    assert reader.keys() == ["user:a", "user:a", "xy"]
    assert all_of_them.keys() == ["user:a", "user:a", "other", "xy"]


def test_nobody_pays_when_nobody_tracks_and_nothing_stays() -> None:
    node, reader = FakeNode(), Reader()
    tracking = Tracking(node.tables, {})
    tracking.begin(reader, Tracked())
    tracking.read(reader, "a")
    assert node.tables["cache"].is_watched
    tracking.end(reader)
    tracking.end(reader)
    assert not node.tables["cache"].is_watched
    assert tracking._readers == {}


def test_keys_are_bounded_and_what_is_forgotten_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_READS", 2)
    tracking, reader = Tracking(FakeNode().tables, {}), Reader()
    tracking.begin(reader, Tracked())
    for key in ("a", "b", "b", "c"):
        tracking.read(reader, key)
    assert reader.keys() == ["a"]


def test_nobody_is_told_of_what_he_may_not_read() -> None:
    node, reader, watcher, free = FakeNode("cache", "secret"), Reader(), Reader(), Reader()
    cache, secret = node.tables.values()
    tracking = Tracking(node.tables, {})
    tracking.begin(reader, Tracked())
    tracking.begin(watcher, Tracked(("",)))
    tracking.begin(free, Tracked())
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
    reader.hears_resp3 = ear.hears_resp3 = False
    tracking.begin(reader, Tracked(("a",), 7))
    cache.set("a", "x")
    assert ear.got == []  # it subscribes to nothing: a message would be taken for a reply
    ear.only_listens = True
    ear.closed = {("secret", "a"), ("secret", "")}
    for table in (secret, cache):
        table.set("a", "x")
        table.flush()
    message = b"*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n"
    assert ear.got == [message + b"*1\r\n$1\r\na\r\n", message + b"$-1\r\n"]
    assert reader.tracked is not None and not reader.tracked.broken
    del clients[7]
    cache.set("a", "x")
    assert reader.tracked.broken and reader.got == []
    reader.hears_resp3 = True
    cache.set("a", "y")
    assert reader.got == [b">2\r\n$21\r\ntracking-redir-broken\r\n:7\r\n"]


def test_what_is_forgotten_is_told_to_who_may_hear_of_it_in_any_table(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_READS", 1)
    reader, ear = Reader(), Reader()
    tracking = Tracking(FakeNode("cache", "secret").tables, {7: ear})
    tracking.begin(reader, Tracked(redirect=7))
    ear.closed = {("secret", "a")}
    for key in ("a", "b", "c"):
        tracking.read(reader, key)
    assert ear.keys() == ["b"]
