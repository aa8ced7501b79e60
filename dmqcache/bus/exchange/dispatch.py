"""Who handles a message, and when: the workers.

Owns order and limits. Messages of one node on one channel form a queue: one after the other, in the order of
their arrival. A plain handler whose queue is empty runs at once; a coroutine takes one of ``num_workers``
workers, and its queue waits for it while others go on. One that does not end is given up when its sender has
given up too.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import NamedTuple

from dmqcache.bus.bus_counters import BusCounters
from dmqcache.bus.peer import SILENCE, Later, Reply
from dmqcache.bus.runtime import Running, Runtime, Timer
from dmqcache.bus.timers import TIMEOUT

log = logging.getLogger(__name__)

#: Messages that may wait in one queue. More get a 503: a sender that waits for answers never comes near.
QUEUE_LIMIT = 1_000
#: Messages that may wait in a queue of somebody of whom nobody knows whether he is who he says.
STRANGER_QUEUE_LIMIT = 16
#: Messages that may wait in all queues together: at 60 kB each, 600 MB in the worst case.
TOTAL_LIMIT = 10_000
#: Of these, of strangers, who may give themselves any number of names: 32 MB in the worst case.
STRANGERS_LIMIT = 500

#: Seconds until a coroutine is cancelled: the sender has stopped waiting (RFC 3261 timer F, 64 * T1).
HANDLER_SECONDS = TIMEOUT

Result = Reply | Awaitable[Reply] | Later

#: What is answered where there is no room. Told by identity from a 503 that a handler gives: only this one
#: means that nothing was handled.
TURNED_AWAY = Reply(503)


class Job(NamedTuple):
    """One message to handle."""

    channel: str
    run: Callable[[], Result]
    #: Called once, unless the node is closed first; and once more, with a 500, if it raises.
    answer: Callable[[Reply], None]
    #: Nobody vouches for its sender: it has little room, and never the room of nodes.
    stranger: bool = False


@dataclass(slots=True, eq=False)
class _Queue:
    key: Hashable
    job: Job
    #: What the handler of ``job`` gave to wait for.
    work: Awaitable[Reply]
    jobs: deque[Job] = field(default_factory=deque)


@dataclass(slots=True, eq=False)
class _Run:
    """A coroutine on its worker."""

    queue: _Queue
    job: Job
    began: float
    task: Running | None = None


class Dispatcher:
    """The workers of one node."""

    def __init__(
        self,
        runtime: Runtime,
        counters: BusCounters,
        num_workers: int,
        *,
        queue_limit: int = QUEUE_LIMIT,
        total_limit: int = TOTAL_LIMIT,
    ) -> None:
        """``num_workers``: coroutine handlers that may run at once."""
        self._runtime = runtime
        self._counters = counters
        self._free = num_workers
        self._queue_limit = queue_limit
        self._total_limit = total_limit
        self._queues: dict[Hashable, _Queue] = {}
        #: Queues whose handler waits for a worker: those of nodes, which go first, and those of strangers.
        self._ready: deque[_Queue] = deque()
        self._strangers: deque[_Queue] = deque()
        #: Oldest first. One timer looks after all.
        self._runs: dict[_Run, None] = {}
        self._timer: Timer | None = None
        self._queued = 0
        self._closed = False

    @property
    def waiting(self) -> int:
        """Messages that wait for an earlier one of their queue, or for a worker."""
        return self._queued + len(self._ready) + len(self._strangers)

    def submit(self, key: Hashable, job: Job) -> None:
        """Handle a message when its turn comes; at once if it can be."""
        queue = self._queues.get(key)
        if queue is not None:
            self._queue(queue, job)
            return
        result = self._call(job)
        if not isinstance(result, Awaitable):
            self._give(job, result)
        elif self.waiting >= self._room(job):
            _discard(result)
            self._refuse(job)
        else:
            queue = self._queues[key] = _Queue(key, job, result)
            self._line_up(queue)
            self._fill()

    def close(self) -> None:
        """Handle nothing more. Coroutines that run are the runtime's to end."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for queue in (*self._ready, *self._strangers):
            _discard(queue.work)
        self._ready.clear()
        self._strangers.clear()
        self._queues.clear()
        self._queued = 0

    def _queue(self, queue: _Queue, job: Job) -> None:
        limit = min(STRANGER_QUEUE_LIMIT, self._queue_limit) if job.stranger else self._queue_limit
        if len(queue.jobs) >= limit or self.waiting >= self._room(job):
            self._refuse(job)
            return
        queue.jobs.append(job)
        self._queued += 1

    def _room(self, job: Job) -> int:
        return min(STRANGERS_LIMIT, self._total_limit // 2) if job.stranger else self._total_limit

    def _refuse(self, job: Job) -> None:
        self._counters.drops["queue_full"] += 1
        self._answer(job, TURNED_AWAY)

    def _call(self, job: Job) -> Result:
        try:
            result = job.run()
            return result if isinstance(result, Awaitable | Later) else self._checked(job, result)
        except Exception:
            return self._failed(job)

    def _checked(self, job: Job, result: object) -> Reply:
        if isinstance(result, Reply) and (_is_final(result.status) or result.status == SILENCE):
            return result
        log.error("the handler of channel %s gave %.80r where a final Reply is due", job.channel, result)
        self._counters.handler_errors[job.channel] += 1
        return Reply(500)

    def _failed(self, job: Job) -> Reply:
        self._counters.handler_errors[job.channel] += 1
        log.exception("the handler of channel %s failed", job.channel)
        return Reply(500)

    def _give(self, job: Job, result: Reply | Later) -> None:
        if isinstance(result, Later):
            result.then(lambda reply: self._answer(job, self._checked(job, reply)))
        else:
            self._answer(job, result)

    def _answer(self, job: Job, reply: Reply) -> None:
        """A reply of which no message can be made, as one whose body is a text, is a failure of its handler;
        it must not end here, since others wait in the queue."""
        if self._closed:
            return
        try:
            job.answer(reply)
        except Exception:
            self._answer_failure(job, self._failed(job))

    def _answer_failure(self, job: Job, reply: Reply) -> None:
        try:
            job.answer(reply)
        except Exception:
            log.exception("and a message on channel %s cannot be answered", job.channel)

    def _line_up(self, queue: _Queue) -> None:
        (self._strangers if queue.job.stranger else self._ready).append(queue)

    def _fill(self) -> None:
        while self._free and (self._ready or self._strangers):
            queue = (self._ready or self._strangers).popleft()
            self._free -= 1
            run = _Run(queue, queue.job, self._runtime.now())
            self._runs[run] = None
            run.task = self._runtime.spawn(self._work(run, queue.work), f"dmq {queue.job.channel}")
        self._watch()

    async def _work(self, run: _Run, work: Awaitable[Reply]) -> None:
        try:
            reply = self._checked(run.job, await work)
        except GeneratorExit:
            raise  # thrown away unfinished: the loop itself is gone
        except Exception:
            reply = self._failed(run.job)
        except BaseException:
            # It was not we who cancelled it: then it is over already, as it is when the node closes.
            self._fail(run, "was cancelled")
            raise
        self._ended(run, reply)

    def _watch(self) -> None:
        oldest = next(iter(self._runs), None)
        if oldest is not None and self._timer is None:
            due = oldest.began + HANDLER_SECONDS - self._runtime.now()
            self._timer = self._runtime.call_later(max(due, 0.0), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        due = self._runtime.now() - HANDLER_SECONDS + 1e-3
        for run in [run for run in self._runs if run.began <= due]:
            self._fail(run, f"did not end within {HANDLER_SECONDS:g} s")
            if run.task is not None:
                run.task.cancel()
        self._watch()

    def _fail(self, run: _Run, why: str) -> None:
        if run in self._runs and not self._closed:
            log.error("the handler of channel %s %s", run.job.channel, why)
            self._counters.handler_errors[run.job.channel] += 1
        self._ended(run, Reply(500))

    def _ended(self, run: _Run, reply: Reply) -> None:
        if run not in self._runs:
            return
        del self._runs[run]
        self._free += 1
        if not self._closed:
            self._answer(run.job, reply)
            self._advance(run.queue)
            self._fill()

    def _advance(self, queue: _Queue) -> None:
        """Handle what waited in the queue, up to the next message that takes a worker."""
        while queue.jobs:
            job = queue.jobs.popleft()
            self._queued -= 1
            result = self._call(job)
            if not isinstance(result, Awaitable):
                self._give(job, result)
                continue
            queue.job, queue.work = job, result
            # Behind the others that wait: a busy node takes turns with the quiet ones.
            self._line_up(queue)
            return
        del self._queues[queue.key]


def _is_final(status: object) -> bool:
    return isinstance(status, int) and 200 <= status <= 699


def _discard(work: Awaitable[Reply]) -> None:
    """Let go of a coroutine that will never run, without a warning about it."""
    close = getattr(work, "close", None)
    if close is not None:
        close()
