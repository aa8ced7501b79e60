"""The books of who subscribes to what, and what a message looks like in both protocols."""

from __future__ import annotations

import pytest

from dmqcache.server.resp.subscriptions import SUBSCRIPTION_BYTES, Subscriptions


class Client:
    def __init__(self, resp3: bool = False) -> None:
        self.hears_resp3 = resp3
        self.channels: dict[str, None] = {}
        self.patterns: dict[str, None] = {}
        self.subscribed_bytes = 0
        self.got: list[bytes] = []
        self.restricted = 0
        #: Tables and keys of whose changes it may not hear.
        self.closed: set[tuple[str, str]] = set()

    def may_hear(self, table: str, key: str) -> bool:
        return (table, key) not in self.closed

    def restrict(self) -> None:
        self.restricted += 1

    def push(self, data: bytes) -> None:
        self.got.append(data)


def test_a_message_reaches_channels_and_patterns_in_the_form_of_each_client() -> None:
    books = Subscriptions()
    two, three = Client(), Client(resp3=True)
    books.subscribe(two, "news")
    books.subscribe(three, "news")
    books.subscribe_pattern(three, "n*")
    assert books.deliver("news", "\udcff") == 3
    assert two.got == [b"*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$1\r\n\xff\r\n"]
    assert three.got == [
        b">3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$1\r\n\xff\r\n",
        b">4\r\n$8\r\npmessage\r\n$2\r\nn*\r\n$4\r\nnews\r\n$1\r\n\xff\r\n",
    ]
    assert books.deliver("old", "x") == 0


def test_what_is_about_a_key_reaches_those_who_may_hear_of_it() -> None:
    books = Subscriptions()
    one, other = Client(), Client()
    other.closed = {("cache", "secret")}
    for client in (one, other):
        books.subscribe(client, "news")
        books.subscribe_pattern(client, "n*")
    assert books.deliver("news", "x", ("cache", "secret")) == 2
    assert (len(one.got), len(other.got)) == (2, 0)
    assert books.deliver("news", "x", ("cache", "other")) == 4
    assert books.deliver("news", "secret") == 4


def test_whoever_leaves_leaves_nothing_behind() -> None:
    changes: list[bool] = []
    books = Subscriptions(lambda: changes.append(books.may_want_keys))
    client = Client()
    for _ in range(2):
        books.subscribe(client, "a")
        books.subscribe(client, "__keyevent@0__:set")
        books.subscribe_pattern(client, "x*")
    assert (client.subscribed_bytes, client.restricted) == (3 * SUBSCRIPTION_BYTES + 21, 3)
    assert (sorted(books.channels), books.patterns, books.count("a")) == (["__keyevent@0__:set", "a"], 1, 1)
    books.unsubscribe(client, "nothing")
    books.unsubscribe_pattern(client, "nothing")
    books.leave(client)
    assert (client.subscribed_bytes, books.channels, books.patterns, books.count("a")) == (0, [], 0, 0)
    assert changes == [False, True, True, True, True, False]
    assert books.deliver("a", "x") == 0


def test_a_pattern_that_is_too_long_is_none() -> None:
    books = Subscriptions()
    client = Client()
    with pytest.raises(ValueError, match="at most"):
        books.subscribe_pattern(client, "x" * 5_000)
    assert (client.patterns, books.patterns) == ({}, 0)
