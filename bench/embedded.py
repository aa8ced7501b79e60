"""Replicated sets per second from the embedded API: one node writes, two others must have it all."""

from __future__ import annotations

import statistics
import time
from typing import NamedTuple

from bench.cluster import TABLE, run, writer_with_replicas


class Sets(NamedTuple):
    """What sets cost."""

    per_second: float
    #: Microseconds of processor time of the writing node's loop for one set, and of its other threads. Unlike
    #: the rate they hardly depend on what else the machine does.
    loop_us: float
    others_us: float


async def _measure(sets: int, keys: int, **options: object) -> Sets:
    async with writer_with_replicas(**options) as writer:
        table = writer.table(TABLE)
        names = [f"k{number}" for number in range(keys)]
        began, loop, process = time.perf_counter(), time.thread_time(), time.process_time()
        for start in range(0, sets, 500):
            for number in range(start, min(sets, start + 500)):
                table.set(names[number % keys], f"v{number}")
            await writer.drain()
        acknowledged = await writer.wait_replicated(2, 60)
        seconds = time.perf_counter() - began
        loop, process = time.thread_time() - loop, time.process_time() - process
        if acknowledged < 2:
            raise RuntimeError("not everything was replicated")
        return Sets(sets / seconds, loop / sets * 1e6, (process - loop) / sets * 1e6)


def measure(sets: int = 300_000, keys: int = 300_000, **options: object) -> Sets:
    """As :func:`sets_per_second`, with the processor time."""
    return run(_measure(sets, keys, **options))  # type: ignore[arg-type, return-value]


def sets_per_second(sets: int = 300_000, keys: int = 300_000, **options: object) -> float:
    """``sets`` writes over ``keys`` keys, until two other nodes have acknowledged all. ``options``: the
    writing node's."""
    return measure(sets, keys, **options).per_second


def medians(runs: list[Sets]) -> Sets:
    """Of several runs."""
    return Sets(*(statistics.median(values) for values in zip(*runs, strict=True)))


def ratio_of_pairs(runs: list[Sets], others: list[Sets]) -> float:
    """The median of the ratios of the two rates of each turn: what disturbs both of them counts in none."""
    return statistics.median(
        one.per_second / other.per_second for one, other in zip(runs, others, strict=True)
    )


if __name__ == "__main__":
    print(f"{sets_per_second():,.0f} replicated sets a second of new keys")
    print(f"{sets_per_second(keys=20_000):,.0f} replicated sets a second over 20,000 keys")
