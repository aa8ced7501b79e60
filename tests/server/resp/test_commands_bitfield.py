"""Integers within a value; side by side with Redis: ``like_redis.txt``."""

from __future__ import annotations

from tests.server.fakes import make_session
from tests.server.resp.saying import hold, say


def test_widths_signs_and_overflows() -> None:
    hold(
        [
            ("BITFIELD f SET u8 0 255 GET i8 0", [0, -1]),
            ("BITFIELD f INCRBY u8 0 10", [9]),
            ("BITFIELD f OVERFLOW SAT INCRBY u8 0 300", [255]),
            ("BITFIELD f OVERFLOW FAIL INCRBY u8 0 1", [None]),
            ("BITFIELD f SET u8 #2 65 GET u8 16", [0, 65]),
            ("STRLEN f", 3),
            ("BITFIELD_RO f GET u4 0", [15]),
            ("BITFIELD_RO f SET u4 0 1", "ERR BITFIELD_RO only supports the GET subcommand"),
            ("BITFIELD n GET u8 5", [0]),
            ("EXISTS n", 0),
        ]
    )


def test_what_stays_as_it_is_writes_nothing() -> None:
    session = make_session()
    assert say(session, "BITFIELD", "b", "SET", "u8", "0", "5") == [0]
    assert say(session, "BITFIELD", "b", "SET", "u8", "0", "5", "INCRBY", "u8", "0", "0") == [5, 5]
    assert session.table.counters.sets == 1
