"""Which of two messages of a Kamailio was sent first, and how much of that is remembered."""

from __future__ import annotations

import pytest

from dmqcache.store.kamailio.overtaking import (
    IN_ORDER,
    KEPT_S,
    MAX_MESSAGES,
    MAX_PROCESSES,
    MAX_TIMES,
    NEAR,
    EarlyTime,
    EarlyTimes,
    SendingOrder,
)
from tests.bus.captures import DATAGRAMS

FIRST = 0x7DF63FA2385A193D


def call_id(number: int, process: int = 18446) -> str:
    return f"{FIRST + number:016x}-{process}@127.0.0.1"


def test_messages_in_order_are_known_as_such_whatever_is_missing_between_them() -> None:
    order = SendingOrder()
    for number, now in ((0, 1.0), (1, 2.0), (7, 3.0)):
        assert order.sent_by(call_id(number), now) == IN_ORDER


def test_a_message_that_was_overtaken_was_sent_between_its_neighbours() -> None:
    order = SendingOrder()
    for number, now in ((0, 1.0), (2, 2.0), (6, 3.0)):
        order.sent_by(call_id(number), now)
    assert [order.sent_by(call_id(number), 10.0) for number in (1, 3, 4, 5)] == [1.5, 2.25, 2.5, 2.75]
    assert 0.9 < (order.sent_by(call_id(-3), 10.0) or 0) < (order.sent_by(call_id(-2), 10.0) or 0) < 1.0
    # A repeated one too: it had been sent when it came first.
    assert order.sent_by(call_id(2), 10.0) == 2.0
    assert order.sent_by(call_id(6), 10.0) == 3.0


def test_processes_have_an_order_of_their_own() -> None:
    order = SendingOrder()
    order.sent_by(call_id(5, 1), 1.0)
    assert order.sent_by(call_id(2, 2), 2.0) == IN_ORDER
    assert (order.sent_by(call_id(4, 1), 3.0) or 0) < 1.0


def test_a_process_that_was_started_anew_under_the_same_number_begins_again() -> None:
    order = SendingOrder()
    order.sent_by(call_id(0), 1.0)
    assert order.sent_by(call_id(-NEAR), 2.0) == IN_ORDER
    assert (order.sent_by(call_id(-NEAR - 1), 3.0) or 0) < 2.0


@pytest.mark.parametrize("text", ["", "f81d4fae-7dec@h", "12345", "zz-1@h", "1-1@h", "a" * 17 + "-1@h"])
def test_call_ids_of_others_tell_nothing(text: str) -> None:
    assert SendingOrder().sent_by(text, 1.0) is None


def test_real_kamailio_nodes_count_up() -> None:
    order = SendingOrder()
    seen = 0
    for now, datagram in enumerate(DATAGRAMS):
        if datagram.startswith(b"KDMQ"):
            line = next(line for line in datagram.split(b"\r\n") if line.startswith(b"Call-ID: "))
            assert order.sent_by(line[9:].decode(), float(now)) == IN_ORDER
            seen += 1
    assert seen > 30


def test_memory_is_bounded() -> None:
    order = SendingOrder()
    for process in range(3 * MAX_PROCESSES):
        order.sent_by(call_id(0, process), 1.0)
    assert len(order._processes) == MAX_PROCESSES
    for number in range(5 * MAX_MESSAGES):
        order.sent_by(call_id(number, 3 * MAX_PROCESSES - 1), 2.0 + number)
    assert max(len(process.numbers) for process in order._processes.values()) <= 2 * MAX_MESSAGES
    # Of what is forgotten it is known that it was sent before the oldest that is not.
    oldest = order._processes[f"-{3 * MAX_PROCESSES - 1}@127.0.0.1"].times[0]
    assert oldest - KEPT_S <= (order.sent_by(call_id(1, 3 * MAX_PROCESSES - 1), 1e9) or 0) < oldest


def test_only_so_many_times_are_remembered_and_only_for_a_while() -> None:
    early = EarlyTimes()
    for number in range(MAX_TIMES + 1):
        early.remember(f"k{number}", "k", EarlyTime(5, 1.0))
    assert early.take("k0", "k", 1.0, None) is None
    assert early.take("k1", "k", 1.0, None) == EarlyTime(5, 1.0)
    assert early.take("k2", "k", 1.0 + KEPT_S + 0.1, None) is None


def test_a_time_is_for_what_was_sent_before_it() -> None:
    early = EarlyTimes()
    early.remember("a", "k", EarlyTime(5, 1.0))
    assert early.take("a", "k", 2.0, 2.0) is None
    early.remember("a", "k", EarlyTime(5, 1.0, 10, 11))
    assert early.take("a", "k", 2.0, 1.0) == EarlyTime(5, 1.0, 10, 11)
    early.remember("a", "k", EarlyTime(5, 1.0, 10, 11))
    assert early.take("a", "k", 2.0, None) is None
