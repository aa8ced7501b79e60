"""How others stand to the key: said once, shown for a while, bounded whoever calls."""

from __future__ import annotations

import logging

import pytest

from dmqcache.bus.sip.uri import Endpoint
from dmqcache.bus.trust.standing import (
    LOG_BURST,
    LOG_PAUSE,
    MAX_REMEMBERED,
    MAX_SHOWN,
    REFUSAL_BURST,
    REFUSAL_PAUSE,
    SHOWN,
    Standing,
    Standings,
)


class Time:
    seconds = 0.0

    def now(self) -> float:
        return self.seconds


def at(number: int) -> Endpoint:
    return Endpoint("udp", f"10.0.{number // 250}.{number % 250}", 5060)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_what_changes_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    book = Standings(Time().now)
    book.note(at(1), Standing.SIGNS)
    for _ in range(3):
        book.note(at(1), Standing.OTHER_KEY, True, "aaaa", "bbbb, cccc")
    book.note(at(1), Standing.SIGNS)
    book.note(at(2)._replace(port=0), Standing.NO_KEY)
    said = lines(caplog)
    assert len(said) == 3 and book.of(at(1)) is Standing.SIGNS
    assert said[0].startswith("10.0.0.1 port 5060 signs with another key, aaaa, and is turned away")
    assert said[0].endswith("bbbb, cccc")
    assert said[1] == "10.0.0.1 port 5060 signs with the bus key now"
    assert said[2].startswith("10.0.0.2 still comes without the bus key")


@pytest.mark.parametrize("standing", [one for one in Standing if one is not Standing.SIGNS])
@pytest.mark.parametrize("turned_away", [True, False])
def test_there_are_words_for_all(
    standing: Standing, turned_away: bool, caplog: pytest.LogCaptureFixture
) -> None:
    if standing is Standing.WANTS_KEY and not turned_away:
        return
    Standings(Time().now).note(at(1), standing, turned_away, "aaaa", "bbbb")
    assert lines(caplog)


def test_a_crowd_writes_few_lines_and_is_not_remembered_whole(caplog: pytest.LogCaptureFixture) -> None:
    time = Time()
    book = Standings(time.now)
    for number in range(2 * MAX_REMEMBERED):
        book.note(at(number), Standing.NO_KEY, True)
    assert len(lines(caplog)) == LOG_BURST
    assert book.of(at(0)) is None and book.of(at(2 * MAX_REMEMBERED - 1)) is Standing.NO_KEY
    shown = book.turned_away()
    assert len(shown) == MAX_SHOWN and shown[0][0] == at(2 * MAX_REMEMBERED - 1)
    time.seconds = LOG_PAUSE
    book.note(at(5000), Standing.NO_KEY, True)
    book.note(at(5001), Standing.NO_KEY, True)
    assert len(lines(caplog)) == LOG_BURST + 1
    time.seconds = 2 * SHOWN
    assert book.turned_away() == []


def test_few_are_told_why() -> None:
    time = Time()
    book = Standings(time.now)
    assert sum(book.may_refuse() for _ in range(1000)) == REFUSAL_BURST
    time.seconds = REFUSAL_PAUSE
    assert sum(book.may_refuse() for _ in range(1000)) == 1
    time.seconds = 1000 * REFUSAL_PAUSE
    assert sum(book.may_refuse() for _ in range(1000)) == REFUSAL_BURST
