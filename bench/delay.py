"""How long a single set takes to be on another node: on an idle cluster, and while many sets flow.

Both nodes run on one machine, so one clock serves both ends: the receiver notes when the set is applied.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from dataclasses import dataclass

from bench.cluster import HOSTS, TABLE, Process, node, run, started
from dmqcache.cache_node import CacheNode


@dataclass(frozen=True, slots=True)
class Delay:
    """Milliseconds."""

    median: float
    p99: float
    samples: int


def _summary(seconds: list[float]) -> Delay:
    ordered = sorted(value * 1000 for value in seconds)
    return Delay(statistics.median(ordered), ordered[int(len(ordered) * 0.99)], len(ordered))


async def _probe(writer: CacheNode, samples: int, gap: float) -> list[float]:
    """From a set until the other nodes have acknowledged it: a round trip, so more than the delay."""
    table = writer.table(TABLE)
    delays: list[float] = []
    for number in range(samples):
        began = time.perf_counter()
        table.set(f"probe{number % 50}", f"p{number}")
        await writer.wait_replicated(1, 5)
        delays.append(time.perf_counter() - began)
        await asyncio.sleep(gap)
    return delays


async def _flow(writer: CacheNode, per_second: int, until: asyncio.Event) -> None:
    table = writer.table(TABLE)
    began, done = time.perf_counter(), 0
    while not until.is_set():
        due = int((time.perf_counter() - began) * per_second)
        for number in range(done, min(due, done + 500)):
            table.set(f"flow{number % 50_000}", f"v{number}")
        done = min(due, done + 500)
        await asyncio.sleep(0.001)


async def _measure(per_second: int, samples: int) -> Delay:
    """The background flow comes from the third node, the probes from the first: as in a busy cluster."""
    processes = [Process(HOSTS[1], [HOSTS[0]])]
    async with node(HOSTS[0], []) as writer:
        loop = asyncio.get_running_loop()
        context = started(*processes)
        await loop.run_in_executor(None, context.__enter__)
        try:
            while not writer.bus.active_nodes():
                await asyncio.sleep(0.01)
            stop = asyncio.Event()
            flow = asyncio.create_task(_flow(writer, per_second, stop)) if per_second else None
            await asyncio.sleep(0.5)
            delays = await _probe(writer, samples, 0.002 if per_second else 0.005)
            stop.set()
            if flow is not None:
                await flow
            return _summary(delays)
        finally:
            await loop.run_in_executor(None, context.__exit__, None, None, None)


def idle(samples: int = 500) -> Delay:
    """On a cluster that does nothing else."""
    return run(_measure(0, samples))  # type: ignore[return-value]


def busy(per_second: int = 20_000, samples: int = 1_000) -> Delay:
    """While ``per_second`` other sets flow."""
    return run(_measure(per_second, samples))  # type: ignore[return-value]


if __name__ == "__main__":
    print("idle", idle())
    print("busy", busy())
