"""The memory of what was answered."""

from __future__ import annotations

import pytest

from dmqcache.bus.bus_counters import BusCounters
from dmqcache.bus.exchange.replay import REMEMBERED, RUNNING, Replays, transaction_key
from dmqcache.bus.sip.serialize import Author, Draft, build_request
from dmqcache.bus.sip.sip_message import SipRequest, parse_message
from dmqcache.bus.sip.uri import Endpoint
from tests.bus.virtual import Clock

SOURCE = Endpoint("udp", "127.0.0.12", 5060)


def request(
    branch: str = "z9hG4bK1", tag: str = "t", call_id: str = "c", cseq: int = 10, host: str = "127.0.0.12"
) -> SipRequest:
    uri = "sip:htable@127.0.0.11"
    message = parse_message(
        build_request(
            Author(host, tag), Draft("KDMQ", uri, uri, uri, "udp", branch, call_id, cseq, 1, "a/b", b"")
        )
    )
    assert isinstance(message, SipRequest)
    return message


def bench(max_entries: int = 1000, max_bytes: int = 100_000) -> tuple[Clock, Replays, BusCounters]:
    clock, counters = Clock(), BusCounters()
    return (
        clock,
        Replays(lambda: clock.time, counters, max_entries=max_entries, max_bytes=max_bytes),
        counters,
    )


def test_the_same_request_has_the_same_key() -> None:
    assert transaction_key(request(), SOURCE) == transaction_key(request(), SOURCE)


def test_a_fast_retransmission_has_the_key_of_the_first_send() -> None:
    first, again = request(branch="z9hG4bK1;try=0"), request(branch="z9hG4bK1;try=3")
    assert transaction_key(first, SOURCE) == transaction_key(again, SOURCE)


@pytest.mark.parametrize(
    "other",
    [request(branch="z9hG4bK2"), request(tag="u"), request(call_id="d"), request(cseq=11)],
    ids=["branch", "tag", "call_id", "cseq"],
)
def test_kamailios_short_branches_do_not_collide(other: SipRequest) -> None:
    assert transaction_key(request(), SOURCE) != transaction_key(other, SOURCE)


@pytest.mark.parametrize(
    "source",
    [
        Endpoint("udp", "127.0.0.13", 5060),
        Endpoint("udp", "127.0.0.12", 5061),
        Endpoint("tcp", "127.0.0.12", 5060),
    ],
)
def test_the_source_is_part_of_the_key(source: Endpoint) -> None:
    assert transaction_key(request(), SOURCE) != transaction_key(request(), source)


def test_a_request_is_new_then_running_then_answered() -> None:
    _, replays, _ = bench()
    assert replays.find(b"k") is None
    replays.open(b"k")
    assert replays.find(b"k") == RUNNING
    replays.close(b"k", 200)
    assert replays.find(b"k") == 200
    assert len(replays) == 1


def test_it_is_remembered_for_32_to_64_seconds() -> None:
    clock, replays, counters = bench()
    clock.run(20)
    replays.open(b"k")
    replays.close(b"k", b"reply")
    clock.run(REMEMBERED - 0.1)
    assert replays.find(b"k") == b"reply"
    clock.run(REMEMBERED + 0.2)
    assert replays.find(b"k") is None
    assert len(replays) == 0 and not counters.drops


def test_after_a_long_quiet_time_nothing_is_left() -> None:
    clock, replays, _ = bench()
    replays.open(b"k")
    clock.run(10 * REMEMBERED)
    replays.rotate()
    assert len(replays) == 0


def test_a_handler_that_answers_after_the_generation_changed_is_still_remembered_once() -> None:
    clock, replays, _ = bench()
    replays.open(b"k")
    clock.run(REMEMBERED + 1)
    assert replays.find(b"k") == RUNNING
    replays.close(b"k", 200)
    assert replays.find(b"k") == 200 and len(replays) == 1


def test_a_request_that_was_turned_away_gets_another_try() -> None:
    _, replays, _ = bench()
    replays.open(b"k")
    replays.forget(b"k")
    assert replays.find(b"k") is None


def test_the_number_of_entries_is_bounded_and_what_is_lost_is_counted() -> None:
    _, replays, counters = bench(max_entries=100)
    for number in range(1000):
        replays.open(b"%d" % number)
        assert len(replays) <= 202
    assert counters.drops["replay_evicted"] == 1000 - len(replays)
    assert replays.find(b"999") == RUNNING and replays.find(b"0") is None


def test_the_bytes_are_bounded() -> None:
    _, replays, counters = bench(max_bytes=10_000)
    for number in range(100):
        replays.close(b"%d" % number, b"x" * 1000)
    assert len(replays) <= 22
    assert counters.drops["replay_evicted"] == 100 - len(replays)
    assert replays.find(b"99") == b"x" * 1000
