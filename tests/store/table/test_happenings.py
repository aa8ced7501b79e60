"""Each write is told as what it was, once: on the node where it is made and on those that hear of it."""

from __future__ import annotations

import pytest

from dmqcache.store.table.changes import Changes, Home
from dmqcache.store.table.happenings import Event
from dmqcache.store.table.merge import Arrivals
from dmqcache.store.table.row import Row
from dmqcache.store.table.store_counters import StoreCounters
from dmqcache.store.table.table import Table
from tests.store.fixtures import Hands, make_table, nobody_watches

Happened = list[tuple[str, str]]


class Soon:
    def call_later(self, delay: float, callback: object) -> None: ...


def listened(declared: str = "t") -> tuple[Table, Hands, Happened]:
    happened: Happened = []

    def note(key: str, events: tuple[Event, ...]) -> None:
        happened.extend((key, str(event)) for event in events)

    def failed(error: Exception) -> None:
        raise error

    table, hands = make_table(declared, home=Home(lambda: None, Soon(), failed, nobody_watches))
    table.listen(note)
    return table, hands, happened


def test_a_client_here() -> None:
    table, hands, happened = listened()
    table.set("a", "x")
    table.set("a", "x")
    table.set("a", "y", ttl=5)
    table.set("a", "y", ttl=5)
    table.expire("a", 9)
    table.expire("a", 0)
    table.delete("a")
    table.delete("a")
    table.incr("n")
    table.incr("n", 0)
    assert happened == [
        *(("a", "new"), ("a", "set"), ("a", "set"), ("a", "set"), ("a", "expire"), ("a", "set")),
        *(("a", "expire"), ("a", "persist"), ("a", "del"), ("n", "new"), ("n", "set"), ("n", "set")),
    ]
    del happened[:]
    table.expire("n", 5)
    hands.seconds += 6
    assert table.get("n") is None
    table.sweep(10)
    assert happened == [("n", "expire"), ("n", "expired")]


@pytest.mark.parametrize("others", [0, 100])
def test_a_flush_is_one_event(others: int) -> None:
    table, _, happened = listened()
    for number in range(1 + others):
        table.set(f"k{number}", "x")
    del happened[:]
    table.flush()
    assert happened == [("", "flushdb")]


def test_a_tables_own_time_is_no_event_of_its_own() -> None:
    table, _, happened = listened("t=>autoexpire=60")
    table.set("a", "x")
    table.set("a", "x")
    table.set("a", "x", ttl=10)
    assert happened == [("a", "new"), ("a", "set"), ("a", "set"), ("a", "set"), ("a", "expire")]


def test_what_other_nodes_tell_counts_by_its_difference() -> None:
    table, hands, happened = listened()
    arrivals = Arrivals(table, StoreCounters())
    version = table.clock.version()

    def tell(later: int, value: str | None, ttl: int = 0, left: int = 0) -> Happened:
        del happened[:]
        arrivals.merge_rows([Row("a", value, version + later, ttl, left)], "sip:127.0.0.12:5060")
        return list(happened)

    assert tell(1, "x") == [("a", "new"), ("a", "set")]
    assert tell(1, "x") == []
    assert tell(2, "x") == []  # told again, as our own nodes do after a collision
    assert tell(3, "y", 5_000, 5_000) == [("a", "set"), ("a", "expire")]
    hands.seconds += 0.3
    assert tell(4, "y", 5_000, 4_600) == []
    assert tell(5, "y", 9_000, 9_000) == [("a", "expire")]
    assert tell(6, "y") == [("a", "persist")]
    assert tell(7, None) == [("a", "del")]
    assert tell(8, None) == []
    table.set("a", "x")
    del happened[:]
    table.set("a", "x")
    assert happened == [("a", "set")], "a client's write counts again after a merge"


def test_nobody_pays_for_nobody() -> None:
    other, _ = make_table()
    changes = Changes(other, Soon(), lambda error: None)
    forget = changes.listen(lambda key, events: None)
    assert other.is_watched
    forget()
    forget()
    assert not other.is_watched
