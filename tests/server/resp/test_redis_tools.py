"""Redis' own tools on a node: redis-cli's overviews and redis-benchmark show figures that are true."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.server.fakes import FakeNode
from tests.server.resp.test_like_redis import RealTime
from tests.server.serving import Serving, serving

pytestmark = pytest.mark.interop


def ran(server: Serving, tool: str, *words: str) -> str:
    host, port = server.address
    command = [tool, "-h", host, "-p", str(port), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return re.sub(r"\x1b\[[\d;]*m", "", done.stdout)


def test_the_largest_keys_are_found() -> None:
    node = FakeNode("cache", time=RealTime())
    table = node.tables["cache"]
    table.update({f"k{number}": "x" for number in range(50)}, large="x" * 5_000)
    with serving(node) as server:
        sizes = ran(server, "redis-cli", "--memkeys")
        assert "Sampled 51 keys in the keyspace" in sizes
        found = re.search(r"Biggest string found '?\"large\"'? has (\d+) bytes", sizes)
        assert found and 5_000 < int(found[1]) < 6_000
        assert "Biggest string found '\"large\"' has 5000 bytes" in ran(server, "redis-cli", "--bigkeys")


def test_the_running_figures_are_those_of_the_node() -> None:
    node = FakeNode("cache", time=RealTime())
    node.tables["cache"].update({f"k{number}": "x" for number in range(50)})
    with serving(node) as server:
        host, port = server.address
        command = ["redis-cli", "-h", host, "-p", str(port), "-i", "0.01", "--stat"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as shown:
            try:
                assert shown.stdout is not None
                lines = [shown.stdout.readline() for _ in range(4)]
            finally:
                shown.kill()
        # Keys, memory, clients, blocked, requests (and how many since the line before), connections.
        keys, memory, clients, blocked, *_ = lines[-1].split()
        assert (keys, clients, blocked) == ("50", "1", "0")
        assert re.fullmatch(r"\d+\.\d\dM", memory) and float(memory[:-1]) > 1


def test_what_a_cell_can_be_is_measured() -> None:
    with serving(FakeNode("cache", time=RealTime())) as server:
        told = ran(server, "redis-benchmark", "-q", "-n", "200", "-c", "2", "-t", "ping,set,get,incr,mset")
        for name in ("PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "MSET (10 keys)"):
            assert re.search(rf"{re.escape(name)}: [\d.]+ requests per second", told), told
