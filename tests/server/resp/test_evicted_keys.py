"""What goes on from a key's absence is refused where the key was evicted; misses and plain writes are not."""

from __future__ import annotations

import pytest

from dmqcache.server.resp.session import Session
from dmqcache.store.table.evicting import evict
from tests.server.fakes import make_session
from tests.server.resp.saying import say


def evicting() -> Session:
    """A session whose table has evicted ``gone``; ``here`` and ``new`` are no such keys."""
    session = make_session()
    say(session, "SET", "here", "1")
    say(session, "SET", "gone", "100")
    evict(session.table, session.table.cells["gone"])
    return session


@pytest.mark.parametrize(
    "words",
    [
        "INCR gone",
        "DECR gone",
        "INCRBY gone 2",
        "DECRBY gone 2",
        "INCRBYFLOAT gone 1.5",
        "APPEND gone x",
        "SETNX gone x",
        "SET gone x NX EX 10",
        "SET gone x keepttl",
        "MSETNX new x gone y",
        "SETBIT gone 1 1",
        "SETRANGE gone 1 x",
        "BITFIELD gone INCRBY u8 0 1",
        "BITOP OR new here gone",
        "COPY here gone",
        "RENAMENX here gone",
    ],
)
def test_what_would_follow_from_its_absence_is_refused_and_changes_nothing(words: str) -> None:
    session = evicting()
    assert str(say(session, *words.split(" "))).startswith("EVICTED this node has evicted the key")
    assert dict(session.table) == {"here": "1"}
    # On a key that never was it is done as ever, and after a plain write too.
    assert "EVICTED" not in str(say(session, *words.replace("gone", "other").split(" ")))
    say(session, "SET", "gone", "7")
    assert "EVICTED" not in str(say(session, *words.split(" ")))


@pytest.mark.parametrize(
    ("words", "reply"),
    [
        ("GET gone", None),
        ("EXISTS gone", 0),
        ("EXPIRE gone 10", 0),
        ("PERSIST gone", 0),
        ("GETDEL gone", None),
        ("SET gone x XX", None),
        ("SET gone x GET", None),
        ("GETSET gone x", None),
        ("SET gone x", "OK"),
        ("COPY here gone REPLACE", 1),
        ("RENAME here gone", "OK"),
        ("BITOP OR gone here", 1),
        ("BITFIELD gone GET u8 0", [0]),
        ("DEL gone", 0),
    ],
)
def test_reading_it_is_a_miss_and_writing_it_anew_is_a_write(words: str, reply: object) -> None:
    assert say(evicting(), *words.split(" ")) == reply


def test_after_a_delete_it_may_begin_anew() -> None:
    session = evicting()
    say(session, "DEL", "gone")
    assert say(session, "INCR", "gone") == 1
