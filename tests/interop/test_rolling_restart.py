"""One node after the other is stopped with SIGTERM and started again, while 20,000 sets a second are written:
none that was acknowledged is missing. Through the Redis port, and in programs that hold a node themselves.
"""

import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.interop.cluster import TABLES, Cluster
from tests.interop.daemon import Daemon, wait_until
from tests.interop.dmqcache_node import DmqcacheNode
from tests.interop.firehose import Firehose
from tests.interop.process import ROOT

pytestmark = pytest.mark.interop

RATE = 20_000
"""Of all writers together."""
FULL_SWING = 10_000
"""Sets of all writers together before the next event."""
KEYS = 20_000
"""Of each writer, one after the other, again and again."""
AT_ONCE = 1_000
"""Sets that may be done without having been acknowledged."""
TIMEOUT_S = 60.0
ALONE_TIMEOUT_S = 30.0

PROGRAM = """
import asyncio, sys, time
from dmqcache import CacheNode

async def main():
    address, other, name, rate, keys, *tables = sys.argv[1:]
    async with CacheNode(server_address=address, notification_address=[other], tables=tables) as node:
        await node.wait_ready(30)
        calls, began, made = node.table("calls"), time.monotonic(), 0
        try:
            while True:
                while made < (time.monotonic() - began) * float(rate):
                    calls[f"{name} {made % int(keys)}"] = str(made)
                    made += 1
                await asyncio.sleep(0.002)
        except RuntimeError:
            print("acknowledged", made, flush=True)
            await asyncio.sleep(3600)

asyncio.run(main())
"""


class Program:
    """A program that holds a node and writes to it; each start under another name."""

    def __init__(self, host: str, to: DmqcacheNode, rate: float) -> None:
        self._directory = tempfile.TemporaryDirectory()
        self._log = Path(self._directory.name) / "log"
        self._address, self._to, self._rate = f"sip:{host}:5060", to, rate
        self._turn = 0
        self._host = host
        self._daemon: Daemon | None = None
        #: How many starts were stopped, and what of their sets returned.
        self.stops = 0
        self.expected: dict[str, int] = {}

    @property
    def name(self) -> str:
        return f"{self._host} {self._turn}"

    def start(self) -> None:
        self._turn += 1
        arguments = [self._address, self._to.uri, self.name, str(self._rate), str(KEYS), *TABLES]
        command = [sys.executable, "-c", PROGRAM, *arguments]
        self._daemon = Daemon(self.name, command, self._log, environ={"PYTHONPATH": str(ROOT)})

    def wait_progress(self) -> None:
        """Until so many more of its sets are on the other node."""
        assert self._daemon is not None
        goal = self._heard() + FULL_SWING // 2
        self._daemon.wait_ready(lambda: self._heard() >= goal, TIMEOUT_S)

    def _heard(self) -> int:
        """How far its first key has come on the other node, in sets."""
        return int(self._to.get("calls", f"{self.name} 0") or 0)

    def stop(self) -> None:
        assert self._daemon is not None
        self._daemon.terminate(TIMEOUT_S)
        words = self._log.read_text().split()
        made = int(words[-words[::-1].index("acknowledged")])
        self.expected |= _last(self.name, 0, made)
        self.stops += 1

    def close(self) -> None:
        if self._daemon is not None:
            self._daemon.kill()
        self._directory.cleanup()


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster("127.0.52.", ("d1", "d2", "d3")) as cluster:
        yield cluster


def _missing(cluster: Cluster, expected: dict[str, int]) -> dict[str, int]:
    """How many keys are older on a node than what was acknowledged."""
    found: dict[str, int] = {}
    for name, node in cluster.running.items():
        there = node.dump("calls")
        lost = sum(int(there.get(key, -1)) < number for key, number in expected.items())
        if lost:
            found[name] = lost
    return found


def _last(writer: str, first: int, end: int) -> dict[str, int]:
    """The last number of each key that a writer wrote."""
    return {f"{writer} {number % KEYS}": number for number in range(max(first, end - KEYS), end)}


def _cell(writer: str, first: int, number: int) -> tuple[str, str]:
    return f"{writer} {(first + number) % KEYS}", str(first + number)


def _wait_full_swing(hoses: list[Firehose]) -> None:
    goals = [(hose, hose.acknowledged + FULL_SWING // len(hoses)) for hose in hoses]
    wait_until(
        lambda: all(hose.acknowledged >= goal for hose, goal in goals),
        TIMEOUT_S,
        lambda: f"writers go on: {[(hose.acknowledged, goal, hose.error) for hose, goal in goals]}",
    )


def test_through_the_redis_port(cluster: Cluster) -> None:
    cluster.join()
    first = dict.fromkeys(cluster.names, 0)
    expected: dict[str, int] = {}
    for stopped in cluster.names:
        hoses = {
            name: Firehose(
                cluster.dmqcache(name),
                "calls",
                partial(_cell, name, first[name]),
                rate=RATE / len(cluster.names),
            )
            for name in cluster.names
        }
        for hose in hoses.values():
            hose.start()
        _wait_full_swing(list(hoses.values()))
        assert cluster.dmqcache(stopped).stop() == 0
        wait_until(lambda hose=hoses[stopped]: hose.cut_off, TIMEOUT_S, "its client is cut off")  # type: ignore[misc]
        others = [hose for name, hose in hoses.items() if name != stopped]
        _wait_full_swing(others)
        cluster[stopped].restart()
        cluster.dmqcache(stopped).wait_ready(TIMEOUT_S)
        for hose in hoses.values():
            hose.stop()
        assert not any(hose.cut_off for hose in others)
        cluster.wait_joined(TIMEOUT_S)
        for name, hose in hoses.items():
            end = first[name] + hose.acknowledged
            expected |= _last(name, first[name], end)
            first[name] = end + AT_ONCE
        cluster.wait_equal("calls", TIMEOUT_S)
        assert _missing(cluster, expected) == {}


def test_in_programs_that_hold_a_node(cluster: Cluster) -> None:
    cluster.join("d1", timeout=ALONE_TIMEOUT_S)
    to = cluster.dmqcache("d1")
    programs = [Program(f"127.0.52.{number}", to, RATE / 2) for number in (21, 22)]
    try:
        for program in programs:
            program.start()
        for program in programs:
            for other in programs:
                other.wait_progress()
            program.stop()
            assert _missing(cluster, program.expected) == {}
            program.start()
        for program in programs:
            program.wait_progress()
        for program in programs:
            program.stop()
        assert _missing(cluster, programs[0].expected | programs[1].expected) == {}
        assert all(program.stops == 2 for program in programs)
    finally:
        for program in programs:
            program.close()
