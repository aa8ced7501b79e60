"""RFC 3261's non-INVITE client transaction on virtual time."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from dmqcache.bus.bus_counters import BusCounters
from dmqcache.bus.exchange.transaction import (
    SEND_PARAM,
    ClientTransaction,
    ClientTransactions,
    Outcome,
    Plan,
)
from dmqcache.bus.exchange.transaction_states import State
from dmqcache.bus.sip.serialize import Author, Draft, DraftReply, build_request, build_response
from dmqcache.bus.sip.sip_message import SipRequest, SipResponse, parse_message
from dmqcache.bus.sip.uri import Endpoint
from tests.bus.virtual import Clock, VirtualRuntime

THERE = Endpoint("udp", "127.0.0.12", 5060)
ELSEWHERE = Endpoint("udp", "127.0.0.13", 5060)


@dataclass
class Bench:
    """Transactions, what they sent (time since the start, bytes) and how they ended."""

    clock: Clock = field(default_factory=Clock)
    counters: BusCounters = field(default_factory=BusCounters)
    sent: list[tuple[float, bytes]] = field(default_factory=list)
    ended: list[Outcome] = field(default_factory=list)
    silent: list[Endpoint] = field(default_factory=list)
    #: When an answer came that was late.
    late: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.start_time = self.clock.time
        self.transactions = ClientTransactions(
            VirtualRuntime(self.clock),
            lambda data, endpoint: self.sent.append((round(self.clock.time - self.start_time, 6), data)),
            self.counters,
            on_silence=self.silent.append,
        )

    def start(self, plan: Plan = Plan(), endpoint: Endpoint = THERE) -> ClientTransaction:  # noqa: B008
        branch = self.transactions.next_branch()
        shown = f"{branch};{SEND_PARAM}=0" if plan.rto is not None else branch
        uri = "sip:htable@127.0.0.12"
        draft = Draft("KDMQ", uri, uri, uri, "udp", shown, "c", 1, 1, "text/plain", b"x")
        data = build_request(Author("127.0.0.11:5060", "t"), draft)
        return self.transactions.start(
            data, branch, endpoint, "htable", plan, self.ended.append, on_late=self._came_late
        )

    def _came_late(self) -> None:
        self.late.append(round(self.clock.time - self.start_time, 6))

    def answer(self, status: int, send: int = -1, method: str = "KDMQ", source: Endpoint = THERE) -> None:
        request = parse_message(self.sent[send][1])
        assert isinstance(request, SipRequest)
        data = build_response(request, DraftReply(status, to_tag="tag"))
        response = parse_message(data.replace(b" KDMQ\r\n", f" {method}\r\n".encode()))
        assert isinstance(response, SipResponse)
        self.transactions.on_response(response, source)

    @property
    def times(self) -> list[float]:
        return [time for time, _ in self.sent]


def test_an_unanswered_request_is_sent_at_the_times_of_timer_e_and_ends_at_timer_f() -> None:
    bench = Bench()
    bench.start()
    bench.clock.run(40)
    assert bench.times == [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert len({data for _, data in bench.sent}) == 1
    (outcome,) = bench.ended
    assert (outcome.status, outcome.response, outcome.retransmissions) == (408, None, 10)
    assert bench.clock.pending == 0 and len(bench.transactions) == 0


def test_the_answer_ends_it_at_once() -> None:
    bench = Bench()
    bench.start()
    bench.clock.run(0.03)
    bench.answer(200)
    assert [outcome.status for outcome in bench.ended] == [200]
    assert bench.ended[0].rtt == pytest.approx(0.03)
    bench.clock.run(40)
    assert len(bench.sent) == 1 and bench.clock.pending == 0 and len(bench.transactions) == 0


def test_a_second_answer_is_dropped_and_counted_as_late() -> None:
    bench = Bench()
    bench.start()
    bench.answer(200)
    bench.answer(200)
    assert len(bench.ended) == 1
    assert bench.counters.drops == {"late_reply": 1}


def test_who_sends_is_told_of_each_answer_to_a_copy_that_comes_when_the_request_is_over() -> None:
    bench = Bench()
    bench.start()
    bench.clock.run(0.6)
    bench.answer(200)
    assert len(bench.ended) == 1 and not bench.late
    bench.clock.run(3)
    bench.answer(200)
    assert bench.late == [3.6] and len(bench.ended) == 1
    bench.answer(200, source=ELSEWHERE)
    bench.answer(100)
    assert bench.late == [3.6]
    bench.clock.run(40)
    bench.answer(200)
    assert bench.late == [3.6]
    assert bench.counters.drops == {"late_reply": 4}


@pytest.mark.parametrize("given_up", [True, False])
def test_so_it_is_with_one_that_was_given_up_or_had_no_answer_in_time(given_up: bool) -> None:
    bench = Bench()
    transaction = bench.start(Plan(timeout=0.3))
    if given_up:
        transaction.cancel()
    bench.clock.run(2)
    assert [outcome.status for outcome in bench.ended] == ([] if given_up else [408])
    bench.answer(200)
    assert bench.late == [2]


def test_a_request_that_was_sent_once_and_answered_is_not_remembered() -> None:
    bench = Bench()
    bench.start()
    bench.answer(200)
    assert len(bench.transactions.late) == 0
    bench.answer(200)
    assert not bench.late


def test_a_reply_to_nothing_of_ours_is_a_stray() -> None:
    bench = Bench()
    other = Bench(clock=Clock(seed=99))
    other.start()
    bench.sent = other.sent
    bench.answer(200)
    assert bench.counters.drops == {"stray_reply": 1}


def test_a_reply_from_another_host_than_was_asked_is_no_answer() -> None:
    """From another port it is one: a reply may come out of another socket than the one that was asked."""
    bench = Bench()
    bench.start()
    bench.answer(200, source=ELSEWHERE)
    assert not bench.ended and bench.counters.drops == {"reply_from_elsewhere": 1}
    bench.answer(200, source=THERE._replace(port=40000))
    assert [outcome.status for outcome in bench.ended] == [200]


def test_who_has_seen_a_branch_can_guess_no_other() -> None:
    transactions = Bench().transactions
    branches = [transactions.next_branch() for _ in range(1000)]
    assert all(transactions.is_ours(branch) for branch in branches)
    secrets = [int(branch.removeprefix(transactions._prefix), 16) for branch in branches]
    steps = {later - before for before, later in pairwise(secrets)}
    assert len(steps) == 999 and min(map(abs, steps)) > 2**40


def test_a_reply_with_another_method_in_cseq_matches_nothing() -> None:
    """RFC 3261 17.1.3: the branch and the CSeq method must both match."""
    bench = Bench()
    bench.start()
    bench.answer(200, method="OPTIONS")
    assert not bench.ended


def test_after_a_provisional_answer_it_is_repeated_every_t2() -> None:
    bench = Bench()
    bench.start()
    bench.answer(100)
    bench.clock.run(13)
    # Timer E was armed for 0.5 s before the provisional answer; from then on T2.
    assert bench.times == [0, 0.5, 4.5, 8.5, 12.5]
    bench.answer(200)
    assert [outcome.status for outcome in bench.ended] == [200]


def test_the_round_trip_of_a_repeated_request_is_unknown_to_a_stranger() -> None:
    bench = Bench()
    bench.start()
    bench.clock.run(0.6)
    bench.answer(200)
    assert bench.ended[0].rtt is None and bench.ended[0].retransmissions == 1


def test_a_fast_request_is_repeated_by_the_measured_round_trip() -> None:
    bench = Bench()
    bench.start(Plan(rto=0.016))
    bench.clock.run(0.1)
    assert bench.times == pytest.approx([0, 0.016, 0.036, 0.061, 0.09225])


def test_a_fast_request_tells_which_send_was_answered() -> None:
    bench = Bench()
    bench.start(Plan(rto=0.016))
    bench.clock.run(0.05)
    bench.answer(200, send=1)
    assert bench.ended[0].rtt == pytest.approx(0.05 - 0.016)
    branches = {parse_message(data).via.branch for _, data in bench.sent}
    assert len(branches) == 1


@pytest.mark.parametrize("number", ["-1", "99", "x", "", "1e3"])
def test_a_reply_that_lies_about_the_send_gives_no_round_trip(number: str) -> None:
    bench = Bench()
    bench.start(Plan(rto=0.016))
    bench.clock.run(0.03)
    time, data = bench.sent[1]
    bench.sent[1] = (time, data.replace(b"try=1", f"try={number}".encode()))
    bench.answer(200, send=1)
    assert bench.ended[0].rtt is None


def test_a_shorter_timeout_ends_earlier() -> None:
    bench = Bench()
    bench.start(Plan(timeout=2.0))
    bench.clock.run(10)
    assert bench.times == [0, 0.5, 1.5]
    assert bench.ended[0].status == 408
    assert bench.clock.time - bench.start_time == 10


def test_a_request_that_is_not_to_be_repeated_is_sent_once() -> None:
    bench = Bench()
    bench.start(Plan(timeout=3.0, repeat=False))
    bench.clock.run(10)
    assert bench.times == [0] and bench.ended[0].status == 408


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_nothing_is_repeated_over_a_reliable_transport(transport: str) -> None:
    bench = Bench()
    bench.start(endpoint=Endpoint(transport, "127.0.0.12", 5060))
    bench.clock.run(40)
    assert bench.times == [0] and bench.ended[0].status == 408


def test_a_transport_error_ends_all_to_that_endpoint_in_order_and_no_other() -> None:
    bench = Bench()
    first, second = bench.start(), bench.start()
    other = bench.start(endpoint=ELSEWHERE)
    order: list[str] = []
    for transaction, name in ((first, "first"), (second, "second")):
        transaction._done = lambda outcome, name=name: order.append(f"{name} {outcome.status}")  # type: ignore[misc]
    assert bench.transactions.transport_failed(THERE) == 2
    assert order == ["first 503", "second 503"]
    assert other.state is State.TRYING
    bench.clock.run(40)
    assert bench.ended[0].status == 408


def test_only_the_branch_of_a_request_under_way_proves_that_it_was_sent() -> None:
    bench = Bench()
    transaction = bench.start()
    quote = b"KDMQ sip:x@127.0.0.12:5060 SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=%s;try=0\r\nTo: <" % (
        transaction.branch.encode()
    )
    was_sent = bench.transactions.is_under_way
    assert was_sent(quote, THERE)
    assert not was_sent(quote, ELSEWHERE)
    assert not was_sent(b"", THERE) and not was_sent(quote.replace(b";try=0", b"0"), THERE)
    transaction.cancel()
    assert not was_sent(quote, THERE)


def test_an_error_from_an_unknown_endpoint_changes_nothing() -> None:
    bench = Bench()
    bench.start()
    assert bench.transactions.transport_failed(ELSEWHERE) == 0
    assert not bench.ended


def test_a_cancelled_request_is_silent() -> None:
    bench = Bench()
    transaction = bench.start()
    transaction.cancel()
    transaction.cancel()
    bench.clock.run(40)
    assert len(bench.sent) == 1 and not bench.ended and len(bench.transactions) == 0


def test_starting_another_from_an_answer_is_allowed() -> None:
    bench = Bench()
    transaction = bench.start()
    transaction._done = lambda outcome: [bench.start()].clear()
    bench.answer(200)
    assert len(bench.transactions) == 1 and len(bench.sent) == 2


def test_an_endpoint_that_lets_a_request_wait_is_reported() -> None:
    bench = Bench()
    bench.start()
    bench.clock.run(0.45)
    assert not bench.silent
    bench.clock.run(0.1)
    assert bench.silent == [THERE]


def test_retransmissions_are_counted() -> None:
    bench = Bench()
    bench.start()
    bench.clock.run(2)
    assert bench.counters.retransmissions == {"out": 2}


def test_branches_are_unique_start_with_the_magic_cookie_and_are_known_as_ours() -> None:
    bench = Bench()
    branches = [bench.transactions.next_branch() for _ in range(1000)]
    assert len(set(branches)) == 1000
    assert all(branch.startswith("z9hG4bK") and bench.transactions.is_ours(branch) for branch in branches)
    assert not bench.transactions.is_ours("z9hG4bKother")


def test_ten_thousand_requests_leave_nothing_behind() -> None:
    bench = Bench()
    for _ in range(10_000):
        bench.start()
        bench.answer(200)
    assert len(bench.transactions) == 0 and not bench.transactions._by_endpoint and bench.clock.pending == 0
