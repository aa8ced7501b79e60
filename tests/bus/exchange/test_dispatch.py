"""Order and limits of handlers."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from dmqcache.bus.bus_counters import BusCounters
from dmqcache.bus.exchange.dispatch import HANDLER_SECONDS, STRANGERS_LIMIT, Dispatcher, Job
from dmqcache.bus.peer import Later, Reply
from tests.bus.virtual import Clock, Gate, VirtualRuntime


@dataclass
class Bench:
    workers: int = 2
    limits: dict[str, int] = field(default_factory=dict)
    clock: Clock = field(default_factory=Clock)
    counters: BusCounters = field(default_factory=BusCounters)
    #: What happened, in order.
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.dispatcher = Dispatcher(VirtualRuntime(self.clock), self.counters, self.workers, **self.limits)

    def plain(self, queue: str, name: str) -> None:
        def run() -> Reply:
            self.log.append(f"{name} runs")
            return Reply(200)

        self.submit(queue, name, run)

    def slow(self, queue: str, name: str) -> Gate:
        gate = Gate()

        async def work() -> Reply:
            self.log.append(f"{name} starts")
            await gate
            return Reply(202)

        self.submit(queue, name, work)
        return gate

    def submit(self, queue: str, name: str, run: Callable[[], Any]) -> None:
        self.dispatcher.submit(queue, Job("c", run, lambda reply: self.log.append(f"{name} {reply.status}")))

    def run(self) -> list[str]:
        self.clock.run(0.01)
        log, self.log = self.log, []
        return log


def test_a_plain_handler_runs_at_once() -> None:
    bench = Bench()
    bench.plain("a", "1")
    assert bench.log == ["1 runs", "1 200"]


def test_a_coroutine_is_answered_when_it_is_done() -> None:
    bench = Bench()
    gate = bench.slow("a", "1")
    assert bench.run() == ["1 starts"]
    gate.open()
    assert bench.run() == ["1 202"]


@pytest.mark.parametrize("queued", [False, True])
def test_a_later_reply_holds_up_nothing_and_is_checked_like_any_other(queued: bool) -> None:
    bench = Bench()
    gate = bench.slow("a", "0") if queued else None
    later, wrong = Later(), Later()
    bench.submit("a", "1", lambda: later)
    bench.submit("a", "2", lambda: wrong)
    bench.plain("a", "3")
    bench.run()
    if gate is not None:
        gate.open()
        assert bench.run() == ["0 202", "3 runs", "3 200"]
    later.give(Reply(202))
    later.give(Reply(500))
    wrong.give(Reply(100))
    assert bench.run() == ["1 202", "2 500"] and bench.counters.handler_errors["c"] == 1
    given, last = Later(), Later()
    given.give(Reply(201))
    bench.submit("a", "4", lambda: given)
    bench.submit("a", "5", lambda: last)
    bench.dispatcher.close()
    last.give(Reply(200))
    assert bench.run() == ["4 201"]


def test_messages_of_one_queue_wait_for_each_other_and_other_queues_do_not() -> None:
    bench = Bench()
    gate = bench.slow("a", "1")
    bench.plain("a", "2")
    second = bench.slow("a", "3")
    bench.plain("a", "4")
    bench.plain("b", "5")
    assert bench.run() == ["5 runs", "5 200", "1 starts"]
    gate.open()
    assert bench.run() == ["1 202", "2 runs", "2 200", "3 starts"]
    second.open()
    assert bench.run() == ["3 202", "4 runs", "4 200"]
    assert not bench.dispatcher._queues and bench.dispatcher.waiting == 0


def test_no_more_coroutines_than_workers_run_at_once() -> None:
    bench = Bench(workers=2)
    gates = [bench.slow(f"queue {number}", str(number)) for number in range(4)]
    assert bench.run() == ["0 starts", "1 starts"]
    gates[1].open()
    assert bench.run() == ["1 202", "2 starts"]
    for gate in gates:
        gate.open()
    assert bench.run() == ["0 202", "2 202", "3 starts", "3 202"]


def test_a_busy_queue_takes_turns_with_the_others() -> None:
    bench = Bench(workers=1)
    first = bench.slow("busy", "1")
    second = bench.slow("busy", "2")
    other = bench.slow("quiet", "3")
    assert bench.run() == ["1 starts"]
    for gate in (first, second, other):
        gate.open()
    assert bench.run() == ["1 202", "3 starts", "3 202", "2 starts", "2 202"]


def test_a_handler_that_hangs_holds_up_only_its_queue_and_one_worker() -> None:
    bench = Bench(workers=2)
    bench.slow("stuck", "1")
    for number in range(5):
        bench.slow("good", f"g{number}").open()
        bench.plain("plain", f"p{number}")
    log = bench.run()
    assert [line for line in log if line.endswith(("200", "202"))] == [
        *(f"p{number} 200" for number in range(5)),
        *(f"g{number} 202" for number in range(5)),
    ]


def _raise() -> Reply:
    raise RuntimeError("handler")


async def _raise_later() -> Reply:
    raise RuntimeError("handler")


async def _cancelled() -> Reply:
    """As a handler that awaits a task which somebody has cancelled."""
    raise asyncio.CancelledError


async def _none() -> None:
    return None


@pytest.mark.parametrize(
    "run",
    [
        _raise,
        _raise_later,
        _cancelled,
        lambda: None,
        _none,
        lambda: "x",
        lambda: Reply(100),
        lambda: Reply(7000),
    ],
    ids=["raises", "raises_later", "cancelled", "none", "none_later", "text", "provisional", "no_status"],
)
def test_a_handler_that_fails_is_a_500_and_the_next_message_is_handled(run: Callable[[], Any]) -> None:
    bench = Bench()
    bench.submit("a", "1", run)
    bench.plain("a", "2")
    log = bench.run()
    assert sorted(log) == ["1 500", "2 200", "2 runs"] and log.index("1 500") < log.index("2 runs")
    assert +bench.counters.handler_errors == {"c": 1}


def test_a_coroutine_that_does_not_end_is_cancelled_and_its_worker_is_back() -> None:
    bench = Bench(workers=1)
    ended: list[str] = []

    async def endless() -> Reply:
        try:
            await Gate()
        finally:
            ended.append("cancelled")
        return Reply(200)

    bench.submit("stuck", "1", endless)
    bench.plain("stuck", "2")
    bench.slow("other", "3").open()
    bench.clock.run(HANDLER_SECONDS - 0.1)
    assert not bench.log and not ended
    bench.clock.run(0.2)
    assert bench.log == ["1 500", "2 runs", "2 200", "3 starts", "3 202"] and ended == ["cancelled"]
    assert +bench.counters.handler_errors == {"c": 1}
    bench.clock.run(100)
    assert bench.clock.pending == 0 and not bench.dispatcher._queues and not bench.dispatcher._runs


def test_a_coroutine_that_does_not_even_end_when_cancelled_keeps_no_worker_and_answers_once() -> None:
    bench = Bench(workers=1)
    gate = Gate()

    async def stubborn() -> Reply:
        try:
            await Gate()
        except asyncio.CancelledError:
            await gate
        return Reply(200)

    bench.submit("a", "1", stubborn)
    bench.clock.run(HANDLER_SECONDS + 0.1)
    bench.slow("a", "2").open()
    assert bench.run() == ["1 500", "2 starts", "2 202"]
    gate.open()
    assert bench.run() == [] and bench.dispatcher._free == 1


def test_each_coroutine_has_its_own_time() -> None:
    bench = Bench(workers=2)
    bench.slow("a", "1")
    bench.clock.run(20)
    bench.slow("b", "2")
    bench.clock.run(20)
    assert "1 500" in bench.log and "2 500" not in bench.log
    bench.clock.run(20)
    assert "2 500" in bench.log


def test_an_answer_that_cannot_be_given_at_all_blocks_no_queue() -> None:
    bench = Bench()

    def broken(reply: Reply) -> None:
        bench.log.append(f"1 {reply.status}")
        raise RuntimeError("answer")

    bench.dispatcher.submit("a", Job("c", lambda: Reply(200), broken))
    gate = bench.slow("a", "2")
    bench.dispatcher.submit("a", Job("c", lambda: Reply(200), broken))
    bench.plain("a", "3")
    gate.open()
    assert bench.run() == ["1 200", "1 500", "2 starts", "2 202", "1 200", "1 500", "3 runs", "3 200"]
    assert +bench.counters.handler_errors == {"c": 2} and not bench.dispatcher._queues


def test_a_handler_that_is_cancelled_because_the_node_closes_is_no_failure() -> None:
    bench = Bench()
    bench.submit("a", "1", _cancelled)
    bench.dispatcher.close()
    assert bench.run() == [] and not bench.counters.handler_errors


def test_a_full_queue_gets_a_503() -> None:
    bench = Bench(limits={"queue_limit": 3})
    gate = bench.slow("a", "1")
    for number in range(2, 7):
        bench.plain("a", str(number))
    assert bench.run() == ["5 503", "6 503", "1 starts"]
    assert bench.counters.drops == {"queue_full": 2}
    gate.open()
    assert bench.run()[-1] == "4 200"


def test_all_queues_together_are_bounded_too() -> None:
    bench = Bench(workers=1, limits={"total_limit": 5})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for number in range(10):
            bench.slow(f"queue {number}", str(number))
        bench.plain("plain", "p")
    log = bench.run()
    assert [line for line in log if line.endswith("503")] == [f"{number} 503" for number in range(6, 10)]
    assert "p 200" in log
    assert bench.counters.drops == {"queue_full": 4}
    bench.dispatcher.close()


def test_strangers_leave_room_for_nodes() -> None:
    bench = Bench(workers=0, limits={"total_limit": 10})

    def submit(queue: str, stranger: bool) -> None:
        def work() -> Awaitable[Reply]:
            return _none()  # type: ignore[return-value]

        bench.dispatcher.submit(queue, Job("c", work, lambda reply: bench.log.append(queue), stranger))

    for number in range(10):
        submit(f"stranger {number}", True)
    for number in range(10):
        submit(f"node {number}", False)
    assert [queue.partition(" ")[0] for queue in bench.log] == ["stranger"] * 5 + ["node"] * 5
    bench.dispatcher.close()


def test_what_strangers_have_wait_is_bounded_whatever_they_call_themselves() -> None:
    bench = Bench(workers=0)
    for number in range(STRANGERS_LIMIT + 100):
        bench.dispatcher.submit(
            f"stranger {number}", Job("c", _none, lambda reply: bench.log.append(str(reply.status)), True)
        )
    assert bench.dispatcher.waiting == STRANGERS_LIMIT
    assert bench.log == ["503"] * 100
    bench.dispatcher.close()


def test_nodes_go_before_strangers_who_came_first() -> None:
    bench = Bench(workers=1)

    def submit(name: str, stranger: bool) -> None:
        async def work() -> Reply:
            bench.log.append(name)
            return Reply(200)

        bench.dispatcher.submit(name, Job("c", work, lambda reply: None, stranger))

    gate = bench.slow("busy", "1")
    for number in range(3):
        submit(f"stranger {number}", True)
    for number in range(2):
        submit(f"node {number}", False)
    assert bench.run() == ["1 starts"]
    gate.open()
    assert bench.run() == ["1 202", "node 0", "node 1", "stranger 0", "stranger 1", "stranger 2"]
    assert bench.dispatcher.waiting == 0


def test_after_close_nothing_is_handled_or_answered() -> None:
    bench = Bench(workers=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gate = bench.slow("a", "1")
        bench.slow("b", "2")
        bench.plain("a", "3")
        bench.run()
        bench.dispatcher.close()
        gate.open()
        assert bench.run() == []


def test_an_awaitable_that_is_no_coroutine_will_do() -> None:
    class Ready:
        def __await__(self) -> Any:
            return Reply(202)
            yield

    bench = Bench()
    ready: Awaitable[Reply] = Ready()
    bench.submit("a", "1", lambda: ready)
    assert bench.run() == ["1 202"]
