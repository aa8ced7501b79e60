"""Who handles a message, and when: the workers.

Owns order and limits. Messages of one node on one channel form a lane: one after the other, in the order of
their arrival. A plain handler whose lane is empty runs at once; a coroutine takes one of ``num_workers``
workers, and its lane waits for it while others go on.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import NamedTuple

from dmqcache.bus.counters import BusCounters
from dmqcache.bus.peer import SILENCE, Reply
from dmqcache.bus.runtime import Runtime

log = logging.getLogger(__name__)

#: Messages that may wait in one lane. More get a 503: a sender that waits for answers never comes near.
LANE_LIMIT = 1_000
#: Messages that may wait in a lane of somebody of whom nobody knows whether he is who he says.
STRANGER_LANE_LIMIT = 16
#: Messages that may wait in all lanes together: at 60 kB each, 600 MB in the worst case.
TOTAL_LIMIT = 10_000

Result = Reply | Awaitable[Reply]

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
class _Lane:
    key: Hashable
    job: Job
    #: What the handler of ``job`` gave to wait for.
    work: Awaitable[Reply]
    jobs: deque[Job] = field(default_factory=deque)


class Dispatcher:
    """The workers of one node."""

    def __init__(
        self,
        runtime: Runtime,
        counters: BusCounters,
        num_workers: int,
        *,
        lane_limit: int = LANE_LIMIT,
        total_limit: int = TOTAL_LIMIT,
    ) -> None:
        """``num_workers``: coroutine handlers that may run at once."""
        self._runtime = runtime
        self._counters = counters
        self._free = num_workers
        self._lane_limit = lane_limit
        self._total_limit = total_limit
        self._lanes: dict[Hashable, _Lane] = {}
        #: Lanes whose handler waits for a worker.
        self._ready: deque[_Lane] = deque()
        self._queued = 0
        self._closed = False

    @property
    def waiting(self) -> int:
        """Messages that wait for an earlier one of their lane, or for a worker."""
        return self._queued + len(self._ready)

    def submit(self, key: Hashable, job: Job) -> None:
        """Handle a message when its turn comes; at once if it can be."""
        lane = self._lanes.get(key)
        if lane is not None:
            self._queue(lane, job)
            return
        result = self._call(job)
        if isinstance(result, Reply):
            self._answer(job, result)
        elif self.waiting >= self._room(job):
            _discard(result)
            self._refuse(job)
        else:
            lane = self._lanes[key] = _Lane(key, job, result)
            self._ready.append(lane)
            self._fill()

    def close(self) -> None:
        """Handle nothing more. Coroutines that run are the runtime's to end."""
        self._closed = True
        for lane in self._ready:
            _discard(lane.work)
        self._ready.clear()
        self._lanes.clear()
        self._queued = 0

    def _queue(self, lane: _Lane, job: Job) -> None:
        limit = min(STRANGER_LANE_LIMIT, self._lane_limit) if job.stranger else self._lane_limit
        if len(lane.jobs) >= limit or self.waiting >= self._room(job):
            self._refuse(job)
            return
        lane.jobs.append(job)
        self._queued += 1

    def _room(self, job: Job) -> int:
        return self._total_limit // 2 if job.stranger else self._total_limit

    def _refuse(self, job: Job) -> None:
        self._counters.drops["queue_full"] += 1
        self._answer(job, TURNED_AWAY)

    def _call(self, job: Job) -> Result:
        try:
            result = job.run()
            return result if isinstance(result, Awaitable) else self._checked(job, result)
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

    def _answer(self, job: Job, reply: Reply) -> None:
        """A reply of which no message can be made, as one whose body is a text, is a failure of its handler;
        it must not end here, since others wait in the lane."""
        try:
            job.answer(reply)
        except Exception:
            self._answer_failure(job, self._failed(job))

    def _answer_failure(self, job: Job, reply: Reply) -> None:
        try:
            job.answer(reply)
        except Exception:
            log.exception("and a message on channel %s cannot be answered", job.channel)

    def _fill(self) -> None:
        while self._free and self._ready:
            lane = self._ready.popleft()
            self._free -= 1
            self._runtime.spawn(self._work(lane), f"dmq {lane.job.channel}")

    async def _work(self, lane: _Lane) -> None:
        job = lane.job
        try:
            reply = self._checked(job, await lane.work)
        except GeneratorExit:
            raise  # thrown away unfinished: the loop itself is gone
        except Exception:
            reply = self._failed(job)
        except BaseException:
            self._ended(lane, None)
            raise
        self._ended(lane, reply)

    def _ended(self, lane: _Lane, reply: Reply | None) -> None:
        self._free += 1
        if self._closed:
            return
        if reply is None:
            # Nobody cancels a handler while the node lives: it let the end of something else through.
            log.error("the handler of channel %s was cancelled", lane.job.channel)
            self._counters.handler_errors[lane.job.channel] += 1
            reply = Reply(500)
        self._answer(lane.job, reply)
        self._advance(lane)
        self._fill()

    def _advance(self, lane: _Lane) -> None:
        """Handle what waited in the lane, up to the next message that takes a worker."""
        while lane.jobs:
            job = lane.jobs.popleft()
            self._queued -= 1
            result = self._call(job)
            if isinstance(result, Reply):
                self._answer(job, result)
                continue
            lane.job, lane.work = job, result
            # Behind the others that wait: a busy node takes turns with the quiet ones.
            self._ready.append(lane)
            return
        del self._lanes[lane.key]


def _is_final(status: object) -> bool:
    return isinstance(status, int) and 200 <= status <= 699


def _discard(work: Awaitable[Reply]) -> None:
    """Let go of a coroutine that will never run, without a warning about it."""
    close = getattr(work, "close", None)
    if close is not None:
        close()
