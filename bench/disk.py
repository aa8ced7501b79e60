"""The disk: what it costs the writes, and how long a node takes that finds its cells there."""

from __future__ import annotations

import asyncio
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.cluster import HOSTS, TABLE, Process, node, run
from bench.embedded import Sets, measure, medians, ratio_of_pairs

RUNS = 5


@dataclass(frozen=True, slots=True)
class Load:
    """``cells`` were served to clients ``seconds`` after the start of a node that had them on disk."""

    cells: int
    seconds: float
    #: Of the file.
    bytes: int
    #: Seconds for which the writing node's loop stood still at most, while only the disk was busy.
    stall: float


async def _fill(folder: str, cells: int) -> tuple[int, float]:
    """Write so many cells to disk; returns the file's bytes and the longest stall."""
    async with node(HOSTS[0], [], data_dir=folder) as writer:
        table = writer.table(TABLE)
        for number in range(cells):
            table.set(f"k{number}", f"v{number}")
        flushed = asyncio.ensure_future(writer.wait_on_disk())
        longest, last = 0.0, time.perf_counter()
        while not flushed.done():
            await asyncio.sleep(0)
            now = time.perf_counter()
            longest, last = max(longest, now - last), now
        assert writer.disk is not None
        return writer.disk.bytes, longest


def load(cells: int = 1_000_000) -> Load:
    """A node's start of about 0.5 s is included, as in ``sync.py``."""
    with tempfile.TemporaryDirectory() as folder:
        size, stall = run(_fill(folder, cells))  # type: ignore[misc]
        began = time.perf_counter()
        process = Process(HOSTS[0], [], folder=folder)
        try:
            process.wait_serving()
            seconds = time.perf_counter() - began
            process.wait_ready()
            found = process.count()
        finally:
            process.stop()
    if found != cells:
        raise RuntimeError(f"{found} of {cells} cells came back")
    return Load(cells, seconds, size, stall)


def sets_with_and_without(sets: int = 300_000) -> tuple[Sets, Sets, float]:
    """Replicated sets of new keys with a disk and without, in turn: the medians of each, and the median of
    the ratios of the two rates of each turn."""
    with_disk, without = [], []
    for _ in range(RUNS):
        with tempfile.TemporaryDirectory() as folder:
            with_disk.append(measure(sets, sets, data_dir=Path(folder)))
        without.append(measure(sets, sets))
    return medians(with_disk), medians(without), ratio_of_pairs(with_disk, without)


if __name__ == "__main__":
    print(sets_with_and_without())
    print(load())
