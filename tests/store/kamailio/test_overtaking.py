"""Which of two messages of a Kamailio was sent first, and how much of that is remembered."""

from __future__ import annotations

import tracemalloc

import pytest

from dmqcache.store.kamailio.overtaking import (
    KEPT_S,
    MAX_MESSAGES,
    MAX_TIMES,
    MESSAGE_BYTES,
    NEAR,
    PROCESS_BYTES,
    EarlyTime,
    EarlyTimes,
    SendingOrder,
    Sent,
)
from tests.bus.captures import DATAGRAMS

FIRST = 0x7DF63FA2385A193D


def call_id(number: int, process: int = 18446) -> str:
    return f"{FIRST + number:016x}-{process}@127.0.0.1"


def in_order(order: SendingOrder, text: str, now: float) -> bool:
    """Whether a message is known as sent now."""
    sent = order.sent(text, now)
    return sent is not None and not sent.late and sent.moment == now


def late(order: SendingOrder, text: str, now: float) -> float:
    """When a message had been sent that is known to be late."""
    sent = order.sent(text, now)
    assert sent is not None and sent.late
    return sent.moment


def test_messages_in_order_are_known_as_such_whatever_is_missing_between_them() -> None:
    order = SendingOrder()
    for number, now in ((0, 1.0), (1, 2.0), (7, 3.0)):
        assert in_order(order, call_id(number), now)


def test_a_message_that_was_overtaken_was_sent_between_its_neighbours() -> None:
    order = SendingOrder()
    for number, now in ((0, 1.0), (2, 2.0), (6, 3.0)):
        order.sent(call_id(number), now)
    assert [late(order, call_id(number), 10.0) for number in (1, 3, 4, 5)] == [1.5, 2.25, 2.5, 2.75]
    assert 0.9 < late(order, call_id(-3), 10.0) < late(order, call_id(-2), 10.0) < 1.0
    # A repeated one too: it had been sent when it came first.
    assert late(order, call_id(2), 10.0) == 2.0
    assert late(order, call_id(6), 10.0) == 3.0


def test_processes_have_an_order_of_their_own() -> None:
    order = SendingOrder()
    order.sent(call_id(5, 1), 1.0)
    assert in_order(order, call_id(2, 2), 2.0)
    assert late(order, call_id(4, 1), 3.0) < 1.0


def test_a_process_that_was_started_anew_under_the_same_number_begins_again() -> None:
    order = SendingOrder()
    order.sent(call_id(0), 1.0)
    assert in_order(order, call_id(-NEAR), 2.0)
    assert late(order, call_id(-NEAR - 1), 3.0) < 2.0


@pytest.mark.parametrize("text", ["", "f81d4fae-7dec@h", "12345", "zz-1@h", "1-1@h", "a" * 17 + "-1@h"])
def test_call_ids_of_others_tell_nothing(text: str) -> None:
    assert SendingOrder().sent(text, 1.0) is None


def test_real_kamailio_nodes_count_up() -> None:
    order = SendingOrder()
    seen = 0
    for now, datagram in enumerate(DATAGRAMS):
        if datagram.startswith(b"KDMQ"):
            line = next(line for line in datagram.split(b"\r\n") if line.startswith(b"Call-ID: "))
            assert in_order(order, line[9:].decode(), float(now))
            seen += 1
    assert seen > 30


@pytest.mark.parametrize("processes", [60, 100, 1_000])
def test_however_many_processes_send_their_late_messages_are_known(processes: int) -> None:
    """Five Kamailio nodes of 16 workers each send by turns; one message of each comes late."""
    order = SendingOrder()
    for number in (0, 1, 3):
        for process in range(processes):
            order.sent(call_id(number, process), 1.0 + number)
    came = [late(order, call_id(2, process), 10.0) for process in range(processes)]
    assert came == [3.0] * processes


def test_who_has_been_silent_longest_is_forgotten_first() -> None:
    order = SendingOrder(3 * (PROCESS_BYTES + 4 * MESSAGE_BYTES))
    for number in (1, 3):
        for process in range(3):
            order.sent(call_id(number, process), float(number))
    assert late(order, call_id(2, 0), 4.0) == 2.0  # It has sent something, though nothing new.
    order.sent(call_id(1, 3), 5.0)
    assert list(order._processes) == [f"-{process}@127.0.0.1" for process in (2, 0, 3)]
    assert in_order(order, call_id(0, 1), 6.0)


def test_memory_is_bounded() -> None:
    order = SendingOrder(400_000)
    for process in range(1_000):
        order.sent(call_id(0, process), 1.0)
    for number in range(5 * MAX_MESSAGES):
        order.sent(call_id(number, 1_000), 2.0 + number)
        assert sum(process.bytes for process in order._processes.values()) == order._bytes <= 400_000
    assert len(order._processes["-1000@127.0.0.1"].numbers) > MAX_MESSAGES
    # Of what is forgotten it is known that it was sent before the oldest that is not.
    oldest = order._processes["-1000@127.0.0.1"].times[0]
    assert oldest - KEPT_S <= late(order, call_id(1, 1_000), 1e9) < oldest


def test_a_process_takes_no_more_memory_than_is_said() -> None:
    order = SendingOrder()
    tracemalloc.start()
    for process in range(100):
        for number in range(200):
            order.sent(call_id(number, process), float(number))
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken <= order._bytes


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
    assert early.take("a", "k", 2.0, Sent(2.0)) is None
    early.remember("a", "k", EarlyTime(5, 1.0, 10, 11))
    assert early.take("a", "k", 2.0, Sent(1.0, late=True)) == EarlyTime(5, 1.0, 10, 11)
    early.remember("a", "k", EarlyTime(5, 1.0, 10, 11))
    assert early.take("a", "k", 2.0, None) is None


def test_of_two_messages_of_one_process_the_numbers_tell_which_was_sent_first() -> None:
    order = SendingOrder()
    first, third = order.sent(call_id(0), 1.0), order.sent(call_id(2), 1.0001)
    other = order.sent(call_id(9, 2), 1.00001)
    second = order.sent(call_id(1), 1.5)
    assert first and second and third and other
    assert (
        second.late and second.follows(first) and not second.follows(third) and second.follows(other) is None
    )
    assert second.may_follow(first) and second.may_follow(other) and not second.may_follow(third)


def test_what_another_process_sent_after_the_last_moment_in_which_a_late_one_was_sent_is_later() -> None:
    order = SendingOrder()
    order.sent(call_id(0), 1.0)
    order.sent(call_id(2), 2.0)
    soon, later = order.sent(call_id(9, 2), 1.9), order.sent(call_id(10, 2), 2.1)
    late_one = order.sent(call_id(1), 2.5)
    assert soon and later and late_one
    assert late_one.moment < soon.moment and late_one.may_follow(soon) and not late_one.may_follow(later)
