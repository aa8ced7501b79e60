"""Monitors: who there is, and how a command is written."""

from __future__ import annotations

from dmqcache.server.resp.monitors import Monitors, line


def test_it_is_told_whether_there_are_any() -> None:
    told: list[bool] = []
    monitors = Monitors(told.append)
    for client in (1, 2):
        monitors.add(client)
    for client in (1, 2, 3):
        monitors.remove(client)
    assert told == [True, True, True, False, False]


def test_a_line() -> None:
    words = ["SET", "a b", '\n\r\t\a\b\0"\\', "\u00e9\udcff", ""]
    assert line(1.5, 1, "1.2.3.4:5", words) == (
        b'+1.500000 [1 1.2.3.4:5] "SET" "a b" "\\n\\r\\t\\a\\b\\x00\\"\\\\" "\\xc3\\xa9\\xff" ""\r\n'
    )
    assert line(1.0, 0, "lua", ["AUTH", "secret"]) == b'+1.000000 [0 lua] "AUTH" "(redacted)"\r\n'
