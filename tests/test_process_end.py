"""A program that holds a node and is told to end: the node leaves first, then the program ends as told."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from dmqcache import CacheNode, NodeStatus
from dmqcache.process_end import LeaveFirst, leave_first
from tests.test_cache_node_start import free, others, until

PROGRAM = """
import asyncio, sys
from dmqcache import CacheNode

async def main():
    async with CacheNode(server_address=sys.argv[1], notification_address=[sys.argv[2]], table=["t"],
                         stop_timeout="60") as node:
        await node.wait_ready(20)
        for number in range(20_000):
            node.table("t")[f"k{number}"] = "x"
        print("written", flush=True)
        await asyncio.sleep(3600)

asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def system_s_way() -> Iterator[None]:
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_program_that_is_ended_loses_no_write_and_says_goodbye(number: signal.Signals) -> None:
    async def scenario() -> int:
        async with CacheNode(server_address=free("127.0.0.96"), table=["t"]) as stays:
            address = str(stays.config.server_address)
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                PROGRAM,
                free("127.0.0.97"),
                address,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            try:
                assert process.stdout is not None
                assert await asyncio.wait_for(process.stdout.readline(), 60) == b"written\n"
                process.send_signal(number)
                await asyncio.wait_for(process.wait(), 60)
            finally:
                if process.returncode is None:
                    process.kill()
            await until(lambda: len(stays.table("t")) == 20_000)
            assert [one.status for one in others(stays)] in ([], [NodeStatus.DISABLED])
            assert process.returncode is not None
            return process.returncode

    code = asyncio.run(scenario())
    assert code == -number if number is signal.SIGTERM else code != 0


def test_a_program_with_a_handler_of_its_own_keeps_it() -> None:
    def mine(number: int, frame: object) -> None:
        pass

    signal.signal(signal.SIGTERM, mine)

    async def scenario() -> None:
        async with CacheNode(server_address=free("127.0.0.97")):
            assert signal.getsignal(signal.SIGTERM) is mine

    asyncio.run(scenario())
    assert signal.getsignal(signal.SIGTERM) is mine


def test_the_handler_stands_while_there_is_a_node_and_no_longer() -> None:
    async def scenario() -> None:
        async with CacheNode(server_address=free("127.0.0.96")):
            async with CacheNode(server_address=free("127.0.0.97")):
                assert isinstance(signal.getsignal(signal.SIGTERM), LeaveFirst)
            assert isinstance(signal.getsignal(signal.SIGTERM), LeaveFirst)

    asyncio.run(scenario())
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_another_thread_than_the_main_one_changes_nothing() -> None:
    async def leave() -> None:
        pass

    got: list[LeaveFirst | None] = []
    thread = threading.Thread(target=lambda: got.append(leave_first(leave)))
    thread.start()
    thread.join()
    assert got == [None] and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


FORKS = """
import multiprocessing, sys, time
from dmqcache import SyncCacheNode

def work(at_work):
    at_work.set()
    time.sleep(3600)

with SyncCacheNode(server_address=sys.argv[1], tables=["t"]):
    fork = multiprocessing.get_context("fork")
    at_work = fork.Event()
    child = fork.Process(target=work, args=(at_work,), daemon=True)
    child.start()
    at_work.wait(60)
    child.terminate()
    child.join(20)
    print(child.exitcode)
    child.kill()
"""


def test_a_process_that_was_forked_from_a_programs_ends_at_sigterm_as_any_other() -> None:
    # From 3.12 on Python warns of a fork beside threads.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKS, free("127.0.0.97")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.stdout, done.stderr) == (f"{-signal.SIGTERM}\n", "")


def test_a_node_that_is_started_after_a_fork_leaves_too() -> None:
    of_the_other = LeaveFirst()
    of_the_other.process = 1
    signal.signal(signal.SIGTERM, of_the_other)

    async def scenario() -> None:
        async with CacheNode(server_address=free("127.0.0.97")):
            held = signal.getsignal(signal.SIGTERM)
            assert isinstance(held, LeaveFirst) and held is not of_the_other

    asyncio.run(scenario())
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


TWO = """
import sys, time
from dmqcache import SyncCacheNode

one, two, seed = sys.argv[1:]
with SyncCacheNode(server_address=one, notification_address=[seed], tables=["t"]) as first:
    with SyncCacheNode(server_address=two, notification_address=[seed], tables=["t"]) as second:
        for node in first, second:
            node.wait_ready(60)
        print("ready", flush=True)
        time.sleep(3600)
"""


def test_nodes_on_loops_of_their_own_all_leave() -> None:
    async def scenario() -> None:
        async with CacheNode(server_address=free("127.0.0.96"), table=["t"]) as stays:
            seed = str(stays.config.server_address)
            words = ["-c", TWO, free("127.0.0.97"), free("127.0.0.98"), seed]
            process = await asyncio.create_subprocess_exec(
                sys.executable, *words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
            try:
                assert process.stdout is not None
                assert await asyncio.wait_for(process.stdout.readline(), 60) == b"ready\n"
                await until(lambda: [one.status for one in others(stays)] == [NodeStatus.ACTIVE] * 2)
                process.send_signal(signal.SIGTERM)
                assert await asyncio.wait_for(process.wait(), 60) == -signal.SIGTERM
            finally:
                if process.returncode is None:
                    process.kill()
            assert {one.status for one in others(stays)} <= {NodeStatus.DISABLED}

    asyncio.run(scenario())
