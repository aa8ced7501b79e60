"""Bits of values; side by side with Redis: ``like_redis.txt``."""

from __future__ import annotations

from tests.server.fakes import make_session
from tests.server.resp.saying import hold, say


def test_bits() -> None:
    hold(
        [
            ("SETBIT b 7 1", 0),
            ("SETBIT b 7 0", 1),
            ("SETBIT b 100 1", 0),
            ("GETBIT b 100", 1),
            ("GETBIT b 99999", 0),
            ("STRLEN b", 13),
            ("BITCOUNT b", 1),
            ("BITPOS b 1", 100),
            ("BITPOS n 0", 0),
            ("SET a abc", "OK"),
            ("BITOP NOT r a", 3),
            ("BITOP AND r a r", 3),
            ("BITCOUNT r", 0),
            ("BITOP AND r n", 0),
            ("EXISTS r", 0),
        ]
    )


def test_a_bit_that_no_table_takes_makes_no_value() -> None:
    session = make_session()
    assert str(say(session, "SETBIT", "b", "4294967295", "1")).startswith("ERR a value takes at most")
    assert say(session, "EXISTS", "b") == 0


def test_a_bit_that_stays_as_it_is_writes_nothing() -> None:
    session = make_session()
    assert [say(session, "SETBIT", "b", "7", "0"), session.table.counters.sets] == [0, 1]
    assert [say(session, "SETBIT", "b", "6", "0"), session.table.counters.sets] == [0, 1]
    assert [say(session, "SETBIT", "b", "8", "0"), session.table.counters.sets] == [0, 2], "it is longer"
