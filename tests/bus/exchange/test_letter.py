"""A letter on its way: given up, or answered once."""

from __future__ import annotations

import pytest

from dmqcache.bus.exchange.letter import Letter, Posted
from dmqcache.bus.peer import Response
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.bus.timers import TIMEOUT

THERE = NodeURI.parse("127.0.0.12")
LETTER = Letter("htable", THERE, b"x")


class Transaction:
    """Counts how often it is cancelled."""

    def __init__(self) -> None:
        self.cancelled = 0

    def cancel(self) -> None:
        self.cancelled += 1


def posted(heard: list[int]) -> tuple[Posted, Transaction]:
    on_its_way, transaction = Posted(LETTER, lambda response: heard.append(response.status)), Transaction()
    on_its_way.under_way(transaction)  # type: ignore[arg-type]
    return on_its_way, transaction


def test_a_letter_without_further_wishes_goes_one_hop_and_waits_its_time() -> None:
    assert (LETTER.max_forwards, LETTER.timeout, LETTER.fast, LETTER.repeat) == (1, TIMEOUT, False, True)


def test_the_answer_is_told_once() -> None:
    heard: list[int] = []
    on_its_way, _ = posted(heard)
    assert not on_its_way.ended
    on_its_way.end(Response(200, THERE))
    on_its_way.end(Response(408, THERE))
    assert on_its_way.ended and heard == [200]


def test_who_gave_it_up_hears_nothing_and_its_transaction_ends() -> None:
    heard: list[int] = []
    on_its_way, transaction = posted(heard)
    on_its_way.cancel()
    on_its_way.cancel()
    on_its_way.end(Response(200, THERE))
    assert on_its_way.ended and transaction.cancelled == 1 and not heard


def test_what_is_answered_is_not_cancelled_any_more() -> None:
    on_its_way, transaction = posted([])
    on_its_way.end(Response(200, THERE))
    on_its_way.cancel()
    assert not transaction.cancelled


def test_a_letter_that_nobody_waits_for_ends_quietly_and_what_the_waiting_raise_is_raised() -> None:
    Posted(LETTER, None).end(Response(200, THERE))
    with pytest.raises(ZeroDivisionError):
        Posted(LETTER, lambda response: 1 / 0).end(Response(200, THERE))  # type: ignore[arg-type]
