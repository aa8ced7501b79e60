"""The slow log: what is noted, shortened and forgotten."""

from __future__ import annotations

import pytest

from dmqcache.server.resp.slow_log import SlowLog

WALL = 1_700_000_000.5


@pytest.fixture
def everything() -> list[bool]:
    """What it was told about timing every command."""
    return []


@pytest.fixture
def log(everything: list[bool]) -> SlowLog:
    return SlowLog(lambda: WALL, everything.append)


def took(log: SlowLog, seconds: float, *words: str) -> None:
    log.took(seconds, list(words), "1.2.3.4:5", "me")


def test_only_what_takes_long_is_noted(log: SlowLog) -> None:
    took(log, 0.009, "GET", "a")
    took(log, 0.5, "KEYS", "*")
    (entry,) = log.newest(10)
    assert entry == (0, 1_700_000_000, 500_000, ["KEYS", "*"], "1.2.3.4:5", "me")
    log.note_from(-1)
    took(log, 5.0, "KEYS", "*")
    assert len(log) == 1


def test_whether_every_command_is_timed(log: SlowLog, everything: list[bool]) -> None:
    for microseconds in (0, 999, 1000, -1):
        log.note_from(microseconds)
    assert everything == [True, True, False, False]


def test_the_newest_are_kept_and_numbers_go_on(log: SlowLog) -> None:
    log.keep(2)
    for number in range(4):
        took(log, 1.0, "GET", str(number))
    assert [entry.words[1] for entry in log.newest(10)] == ["3", "2"]
    assert [entry.number for entry in log.newest(1)] == [3]
    log.keep(1)
    assert (log.most, [entry.number for entry in log.newest(10)]) == (1, [3])
    log.reset()
    took(log, 1.0, "GET", "x")
    assert [entry.number for entry in log.newest(10)] == [4]
    log.keep(0)
    took(log, 1.0, "GET", "x")
    assert len(log) == 0


def test_long_commands_are_shortened_and_passwords_hidden(log: SlowLog) -> None:
    took(log, 1.0, "MGET", *(f"k{number}" for number in range(40)))
    took(log, 1.0, "SET", "a", "\u00e9" * 100)
    took(log, 1.0, "AUTH", "secret")
    auth, long, many = (entry.words for entry in log.newest(10))
    assert auth == ["AUTH", "(redacted)"]
    assert long[2] == "\u00e9" * 64 + "... (72 more bytes)"
    assert (len(many), many[-1], many[-2]) == (32, "... (10 more arguments)", "k29")
