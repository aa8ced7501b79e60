"""A new node's initial sync: seconds until all cells are there, and what it costs the donor in memory."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

from bench.cluster import HOSTS, TABLE, Process, node, run


@dataclass(frozen=True, slots=True)
class Sync:
    """Of ``cells`` on the donor ``arrived`` on a new node, ``seconds`` after its start."""

    cells: int
    arrived: int
    seconds: float
    #: Megabytes by which the donor's resident memory grew at most meanwhile.
    donor_growth: float


def _resident_mb() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


async def _measure(cells: int) -> Sync:
    async with node(HOSTS[0], []) as donor:
        table = donor.table(TABLE)
        for number in range(cells):
            table.set(f"k{number}", f"v{number}")
        await asyncio.sleep(1)
        before = largest = _resident_mb()
        began = time.perf_counter()
        joiner = Process(HOSTS[1], [HOSTS[0]])
        loop = asyncio.get_running_loop()
        ready = loop.run_in_executor(None, joiner.wait_ready)
        try:
            while not ready.done():
                largest = max(largest, _resident_mb())
                await asyncio.sleep(0.05)
            await ready
            seconds = time.perf_counter() - began
            arrived = await loop.run_in_executor(None, joiner.count)
            return Sync(cells, arrived, seconds, largest - before)
        finally:
            joiner.stop()


def initial_sync(cells: int = 1_000_000) -> Sync:
    """One donor, one new node, both on this machine; the new node's start of about 0.5 s is included."""
    return run(_measure(cells))  # type: ignore[return-value]


if __name__ == "__main__":
    print(initial_sync())
