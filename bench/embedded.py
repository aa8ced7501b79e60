"""Replicated sets per second from the embedded API: one node writes, two others must have it all."""

from __future__ import annotations

import time

from bench.cluster import TABLE, run, writer_with_replicas


async def _measure(sets: int, keys: int, **options: object) -> float:
    async with writer_with_replicas(**options) as writer:
        table = writer.table(TABLE)
        names = [f"k{number}" for number in range(keys)]
        began = time.perf_counter()
        for start in range(0, sets, 500):
            for number in range(start, min(sets, start + 500)):
                table.set(names[number % keys], f"v{number}")
            await writer.drain()
        acknowledged = await writer.wait_replicated(2, 60)
        seconds = time.perf_counter() - began
        if acknowledged < 2:
            raise RuntimeError("not everything was replicated")
        return sets / seconds


def sets_per_second(sets: int = 300_000, keys: int = 300_000, **options: object) -> float:
    """``sets`` writes over ``keys`` keys, until two other nodes have acknowledged all. ``options``: the
    writing node's."""
    return float(run(_measure(sets, keys, **options)))  # type: ignore[arg-type]


if __name__ == "__main__":
    print(f"{sets_per_second():,.0f} replicated sets a second of new keys")
    print(f"{sets_per_second(keys=20_000):,.0f} replicated sets a second over 20,000 keys")
