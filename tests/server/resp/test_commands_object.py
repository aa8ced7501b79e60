"""OBJECT: how a value would be kept, and since when it was not used; test_memory_beside_redis compares."""

from __future__ import annotations

from dmqcache.store.table.use import TICKS_S
from tests.server.fakes import make_session
from tests.server.resp.saying import say


def test_the_time_without_use_grows_until_the_key_is_read_written_or_touched() -> None:
    session = make_session()
    say(session, "SET", "a", "1")
    session.table.tick += 75 * TICKS_S
    for words in ("EXISTS a", "TYPE a", "TTL a", "OBJECT ENCODING a", "OBJECT REFCOUNT a", "MEMORY USAGE a"):
        say(session, *words.split(" "))
        assert say(session, "OBJECT", "IDLETIME", "a") == 75, words
    for words in ("TOUCH a", "GET a", "EXPIRE a 100", "PERSIST a", "INCR a"):
        say(session, *words.split(" "))
        assert say(session, "OBJECT", "IDLETIME", "a") == 0, words
        session.table.tick += 75 * TICKS_S
    assert say(session, "OBJECT", "IDLETIME", "none") is None


def test_how_often_a_key_is_used_is_not_counted() -> None:
    session = make_session()
    say(session, "SET", "a", "1")
    assert str(say(session, "OBJECT", "FREQ", "a")).startswith("ERR An LFU maxmemory policy is not selected")
    assert say(session, "OBJECT", "FREQ", "none") is None


def test_what_is_longer_than_44_bytes_is_raw() -> None:
    session = make_session()
    for text, encoding in (("x" * 44, "embstr"), ("x" * 45, "raw"), ("é" * 22, "embstr"), ("é" * 23, "raw")):
        say(session, "SET", "a", text)
        assert say(session, "OBJECT", "ENCODING", "a") == encoding, text
