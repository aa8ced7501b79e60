"""``kill -9`` at random moments of a node that is written to as fast as it goes: is all there that must be?

``python -m tests.disk.kills --kills 500`` prints what it found. One process after the other has the same
folder. Each says on a pipe how far its writes have come, how far the disk has, and by how much that is
behind; what the disk had, and what is older than it was behind, must be there after the kill, and nothing
that nobody wrote. How old the oldest write was that is missing is a figure.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import msgspec

from dmqcache.cache_node import CacheNode
from dmqcache.disk.file import open_file
from dmqcache.store.table.counts import Counts
from tests.ports import free_port

HOST = "127.0.0.98"
#: Keys that are set in turn, and keys that are set and deleted in turn.
KEYS, DELETED = 2_000, 500
#: Writes between two looks at the loop.
STEP = 200
#: Seconds. After three times that the shares of killed processes become one: 256 at most may be there.
TOMBSTONE_TTL = 60.0


async def write(folder: Path, interval: float, first: int) -> None:
    """The process that is killed: write ``first`` and so on, and say how far it came."""
    node = CacheNode(
        server_address=f"sip:{HOST}:{free_port(HOST)}",
        tables=["t"],
        data_dir=folder,
        flush_interval=interval,
        tombstone_ttl=TOMBSTONE_TTL,
    )
    async with node:
        table = node.table("t")
        assert node.disk is not None
        say("read", int(table.get("last", 0) or 0))
        asyncio.get_running_loop().create_task(_say_what_is_on_disk(node))
        number = first
        while True:
            for number in range(number, number + STEP):  # noqa: B020
                table.set(f"k{number % KEYS}", number)
                table.set(f"d{number % DELETED}", number)
                if number % 3:
                    table.delete(f"d{number % DELETED}")
                table.incr("count")
                table.set("last", number)
            number += 1
            now = time.monotonic()
            say("wrote", number - 1, now, now - node.disk.behind())
            await asyncio.sleep(0)


async def _say_what_is_on_disk(node: CacheNode) -> None:
    while True:
        number = int(node.table("t").get("last", 0) or 0)
        if not await node.wait_on_disk():
            return
        say("on disk", number)


def say(what: str, number: int, *times: float) -> None:
    """In one write: a kill cuts no line in two that is shorter than a pipe's atom."""
    os.write(1, ":".join([what, *map(str, (number, *times))]).encode() + b"\n")


@dataclass(slots=True)
class Report:
    """What a series of kills has shown."""

    kills: int = 0
    writes: int = 0
    #: Seconds since the oldest write that was missing after a kill, at the worst.
    oldest_missing: float = 0.0
    #: What was wrong.
    problems: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Life:
    """What one process said."""

    first: int
    on_disk: int = 0
    #: When it said how far the writes had come.
    heard: list[tuple[float, int]] = field(default_factory=list)
    #: The moment of which it said that all that was written before is on disk.
    safe: float = 0.0


def series(kills: int, folder: Path, interval: float, seed: int) -> Report:
    """So many kills in one folder."""
    rng, report, next_number, counted = random.Random(seed), Report(), 1, 0
    for _ in range(kills):
        life = _live(folder, interval, next_number, rng.uniform(0.02, 4 * interval))
        killed = time.monotonic()
        last, total = _judge(folder, life, counted, report)
        missing = [at for at, number in life.heard if number > last]
        if missing:
            report.oldest_missing = max(report.oldest_missing, killed - missing[0])
        wrote = max([number for _, number in life.heard], default=next_number - 1)
        report.kills += 1
        report.writes += wrote - next_number + 1
        # What was written and is lost gets no number a second time.
        next_number, counted = wrote + STEP + 1, total
    return report


def _live(folder: Path, interval: float, first: int, seconds: float) -> _Life:
    """One process, killed ``seconds`` after its first write."""
    life = _Life(first)
    command = [sys.executable, "-m", "tests.disk.kills", "--write", str(folder), str(interval), str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        end = None
        while end is None or time.monotonic() < end:
            if not _hear(process.stdout, life):
                raise AssertionError("the process ended by itself")
            if end is None and life.heard:
                end = time.monotonic() + seconds
        os.kill(process.pid, signal.SIGKILL)
        while _hear(process.stdout, life):
            pass
    return life


def _hear(pipe: IO[bytes], life: _Life) -> bool:
    line = pipe.readline()
    if not line.endswith(b"\n"):
        return False
    what, number, *times = str(line, "utf-8").split(":")
    if what == "wrote":
        # The clock is the machine's: all processes have the same.
        at, safe = map(float, times)
        life.heard.append((at, int(number)))
        life.safe = max(life.safe, safe)
    elif what == "on disk":
        life.on_disk = max(life.on_disk, int(number))
    return True


def _judge(folder: Path, life: _Life, counted: int, report: Report) -> tuple[int, int]:
    """Look into the file; returns how far its writes reach, and the sum of its counter."""
    opened = open_file(folder, "now")
    if opened.set_aside is not None:
        report.problems.append(f"set aside: {opened.why}")
    with closing(opened.file) as file:
        rows = {row[0]: row for part in file.rows("t") for row in part}
    last = int(rows["last"][1] or 0) if "last" in rows else 0
    if last < life.on_disk:
        report.problems.append(f"{life.on_disk} was said to be on disk, and {last} is")
    promised = max([number for at, number in life.heard if at <= life.safe], default=0)
    if last < promised:
        report.problems.append(
            f"{promised} is older than the disk was said to be behind, and {last} is on it"
        )
    for number in range(max(life.first, life.on_disk - KEYS + 1), life.on_disk + 1):
        row = rows.get(f"k{number % KEYS}")
        if row is None or not isinstance(row[1], int) or row[1] < number or row[1] % KEYS != number % KEYS:
            report.problems.append(f"k{number % KEYS} is {row}, after {number} was on disk")
    for number in range(max(life.first, life.on_disk - DELETED + 1), life.on_disk + 1):
        row = rows.get(f"d{number % DELETED}")
        value = row[1] if row is not None else None
        if number % 3 and value is not None and (not isinstance(value, int) or value <= number):
            report.problems.append(f"d{number % DELETED} is {value}, after its delete {number} was on disk")
    total = _sum(rows["count"]) if "count" in rows else 0
    least = counted + max(0, life.on_disk - life.first + 1)
    most = counted + max([number for _, number in life.heard], default=0) - life.first + 1 + STEP
    if not least <= total <= most:
        report.problems.append(f"the counter is {total}, not between {least} and {most}")
    return last, total


def _sum(row: tuple[object, ...]) -> int:
    kept = row[6]
    assert isinstance(kept, bytes)
    return msgspec.json.decode(kept, type=Counts).exact()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=500, help="how many")
    parser.add_argument("--interval", type=float, default=0.2, help="the flush interval in seconds")
    parser.add_argument("--seed", type=int, default=1, help="of the moments")
    parser.add_argument("--write", nargs=3, metavar=("FOLDER", "INTERVAL", "FIRST"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        folder, interval, first = options.write
        asyncio.run(write(Path(folder), float(interval), int(first)))
    with tempfile.TemporaryDirectory() as folder:
        report = series(options.kills, Path(folder), options.interval, options.seed)
    for problem in report.problems[:50]:
        print(problem)
    print(
        f"{report.kills} kills, {report.writes} rounds of writes, {len(report.problems)} problems; the "
        f"oldest write that was missing was {report.oldest_missing:.2f} s old (interval {options.interval} s)"
    )
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
