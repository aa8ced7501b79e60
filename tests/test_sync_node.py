"""A node in a thread: its tables from any thread, and an end that leaves the bus."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading

import pytest

from dmqcache import SyncCacheNode
from tests.test_cache_node_start import free


def test_a_node_that_is_not_started_or_waits_for_itself_says_so() -> None:
    node = SyncCacheNode(server_address=free("127.0.0.88"), tables=["t"])
    with pytest.raises(RuntimeError, match="not started"):
        node.call(print)
    with pytest.raises(RuntimeError, match="not started"):
        node.wait_ready()
    node.stop()
    with node:
        with pytest.raises(RuntimeError, match="started already"):
            node.start()
        with pytest.raises(RuntimeError, match="own thread"):
            node.call(node.wait_ready)
    with node:
        assert node.table("t").get("a") is None


def test_an_address_that_is_taken_leaves_no_thread() -> None:
    address = free("127.0.0.88")
    with SyncCacheNode(server_address=address, tables=["t"]):
        before = threading.active_count()
        with pytest.raises(OSError):
            SyncCacheNode(server_address=address, tables=["t"]).start()
        assert threading.active_count() == before


PROGRAM = """
import sys, time
from dmqcache import SyncCacheNode
with SyncCacheNode(server_address=sys.argv[1], notification_address=[sys.argv[2]], tables=["t"]) as node:
    node.wait_ready(20)
    for number in range(5000):
        node.table("t")[f"k{number}"] = "x"
    print("written", flush=True)
    time.sleep(60)
"""


def test_a_program_that_is_ended_by_sigterm_tells_what_it_wrote_and_leaves() -> None:
    address = free("127.0.0.87")
    with SyncCacheNode(server_address=address, tables=["t"]) as stays:
        command = [sys.executable, "-c", PROGRAM, free("127.0.0.88"), address]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as program:
            try:
                assert program.stdout is not None
                assert program.stdout.readline() == b"written\n"
                program.send_signal(signal.SIGTERM)
                assert program.wait(20) == -signal.SIGTERM
            finally:
                program.kill()
        assert len(stays.table("t")) == 5_000
        others = [one.status for one in stays.node.bus.list_nodes() if not one.local]
        assert [str(status) for status in others] in ([], ["disabled"])


ENDS_WITHOUT_STOP = """
import sys
from dmqcache import SyncCacheNode
node = SyncCacheNode(server_address=sys.argv[1], notification_address=[sys.argv[2]], tables=["t"])
node.start()
node.wait_ready(60)
for number in range(500):
    node.table("t")[f"k{number}"] = "x"
"""


def test_a_program_that_ends_without_a_stop_tells_what_it_wrote_and_leaves() -> None:
    address = free("127.0.0.87")
    with SyncCacheNode(server_address=address, tables=["t"]) as stays:
        command = [sys.executable, "-c", ENDS_WITHOUT_STOP, free("127.0.0.88"), address]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert len(stays.table("t")) == 500
        others = [one.status for one in stays.node.bus.list_nodes() if not one.local]
        assert [str(status) for status in others] in ([], ["disabled"])


FORKS = """
import os, sys
from dmqcache import SyncCacheNode
with SyncCacheNode(server_address=sys.argv[1], tables=["t"]) as node:
    table = node.table("t")
    if not os.fork():
        for call in lambda: table.get("a"), node.wait_ready:
            try:
                call()
            except RuntimeError as error:
                print(error, flush=True)
        sys.exit(7)  # through the end of the block, and of the program
    print(os.waitstatus_to_exitcode(os.wait()[1]))
    table["a"] = "x"
"""


def test_a_process_that_was_forked_is_told_that_the_node_is_in_the_other() -> None:
    # From 3.12 on Python warns of a fork beside threads.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKS, free("127.0.0.88")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    said = "the node runs in the process from which this one was forked: start a node after the fork"
    assert (done.stdout.splitlines(), done.stderr) == ([said, said, "7"], "")


def test_who_waits_for_a_node_that_stops_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    begun = threading.Event()
    node = SyncCacheNode(server_address=free("127.0.0.88"), tables=["t"])

    async def never(timeout: float | None = None) -> None:
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(node.node, "wait_ready", never)
    node.start()

    def wait() -> None:
        try:
            node.wait_ready()
        except RuntimeError as error:
            told.append(str(error))

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    assert begun.wait(20)
    node.stop()
    waiting.join(20)
    assert told == ["the node has stopped meanwhile"]
