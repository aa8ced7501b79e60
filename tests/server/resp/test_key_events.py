"""Keyspace notifications: who asks for what is told that, and while nobody asks nobody listens."""

from __future__ import annotations

import pytest

from dmqcache.server.resp.key_events import KeyEvents, parse_letters, written
from dmqcache.server.resp.subscriptions import Subscriptions
from tests.server.fakes import FakeNode
from tests.server.resp.test_subscriptions import Client


class World:
    def __init__(self, letters: str) -> None:
        self.node = FakeNode("cache", "more")
        self.books = Subscriptions(lambda: self.events.look())
        self.events = KeyEvents(self.node.tables, self.books)
        self.events.tell(parse_letters(letters))
        self.client = Client()

    def heard(self) -> list[tuple[str, str]]:
        """Channel and message of each."""
        found = [data.decode().split("\r\n") for data in self.client.got]
        return [(parts[-4], parts[-2]) for parts in found]

    def live(self) -> None:
        cache, more = self.node.tables.values()
        cache.set("a", "x")
        more.set("a", "x", ttl=5)
        self.node.time.seconds += 6
        assert more.get("a") is None
        cache.delete("a")
        cache.flush()


def test_all_events_of_all_tables() -> None:
    world = World("KEAn")
    world.books.subscribe_pattern(world.client, "__key*")
    world.live()
    expected = []
    for place, key, event in [
        *((0, "a", "new"), (0, "a", "set"), (1, "a", "new"), (1, "a", "set"), (1, "a", "expire")),
        *((1, "a", "expired"), (0, "a", "del"), (0, "", "flushdb")),
    ]:
        if event != "flushdb":
            expected.append((f"__keyspace@{place}__:{key}", event))
        expected.append((f"__keyevent@{place}__:{event}", key))
    assert world.heard() == expected


@pytest.mark.parametrize(
    ("letters", "count"),
    [("KA", 5), ("Ex", 1), ("E$", 2), ("Kg", 2), ("Eg", 3), ("A", 0), ("", 0), ("KElshzted", 0)],
)
def test_only_what_is_asked_for(letters: str, count: int) -> None:
    world = World(letters)
    world.books.subscribe_pattern(world.client, "__key*")
    world.live()
    assert len(world.heard()) == count


def test_tables_are_listened_to_only_while_somebody_may_want_to_hear() -> None:
    world = World("")
    table = world.node.tables["cache"]
    world.books.subscribe(world.client, "__keyevent@0__:set")
    assert not table.is_watched
    world.events.tell(parse_letters("KEA"))
    assert table.is_watched
    world.books.leave(world.client)
    assert not table.is_watched
    world.books.subscribe(world.client, "news")
    assert not table.is_watched
    world.books.subscribe_pattern(world.client, "*")
    assert table.is_watched
    world.events.tell(frozenset())
    assert not table.is_watched


def test_nobody_hears_of_a_key_or_a_flush_that_he_may_not_read() -> None:
    world = World("KEA")
    world.books.subscribe_pattern(world.client, "__key*")
    world.client.closed = {("cache", "a"), ("more", "")}
    for table in world.node.tables.values():
        table.set("a", "x")
        table.flush()
    assert world.heard() == [
        ("__keyevent@0__:flushdb", ""),
        ("__keyspace@1__:a", "set"),
        ("__keyevent@1__:set", "a"),
    ]


def test_letters_are_written_as_redis_does() -> None:
    assert written(parse_letters("KEg$lshzxetd")) == "AKE"
    assert written(parse_letters("xEg")) == "gxE"
    with pytest.raises(ValueError, match="Invalid event class"):
        parse_letters("KEm")
