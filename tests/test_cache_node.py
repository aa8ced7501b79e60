"""A node as a program holds it: what it says of itself, what it waits for, and that its end loses nothing."""

from __future__ import annotations

import asyncio
import os
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from dmqcache import CacheNode, Message, NodeStatus, NodeURI, Peer, Reply
from tests.test_cache_node_start import free, others, until

WRITES = 20_000


def node_of(host: str, *seeds: str, **options: object) -> CacheNode:
    address = free(host)
    return CacheNode(server_address=address, notification_address=list(seeds), table=["t"], **options)


async def both_there(one: CacheNode, two: CacheNode) -> None:
    for node in (one, two):
        await until(
            lambda node=node: any(o.status is NodeStatus.ACTIVE for o in others(node)) and node.ready  # type: ignore[misc]
        )


@pytest.mark.parametrize("fails", [False, True])
def test_no_write_of_the_last_moment_is_lost_whether_the_block_ends_or_fails(fails: bool) -> None:
    async def scenario() -> None:
        async with node_of("127.0.0.94") as stays:
            # Time enough on a machine that has other things to do.
            goes = node_of("127.0.0.93", str(stays.config.server_address), stop_timeout="60")
            try:
                async with goes:
                    await both_there(stays, goes)
                    for number in range(WRITES):
                        goes.table("t")[f"k{number}"] = "x"
                    if fails:
                        raise RuntimeError("the program is broken")
            except RuntimeError:
                assert fails
            assert len(stays.table("t")) == WRITES
            assert [one.status for one in others(stays)] in ([], [NodeStatus.DISABLED])

    asyncio.run(scenario())


def test_a_program_that_never_ceases_to_write_is_told_when_its_node_takes_no_more() -> None:
    """What it was not told so is on the other node."""

    async def scenario() -> None:
        async with node_of("127.0.0.94") as stays:
            goes = node_of("127.0.0.93", str(stays.config.server_address), stop_timeout="60")
            await goes.start()
            await both_there(stays, goes)
            table, made = goes.table("t"), 0

            async def write() -> None:
                nonlocal made
                while True:
                    table[f"k{made}"] = "x"
                    made += 1
                    if not made % 20:
                        await asyncio.sleep(0.001)

            writer = asyncio.create_task(write())
            await until(lambda: len(stays.table("t")) > 1_000)
            await goes.stop()
            with pytest.raises(RuntimeError, match="takes no more writes"):
                await asyncio.wait_for(writer, 10)
            assert len(stays.table("t")) == made == len(table)
            for write_of in (lambda: table.delete("k1"), lambda: table.incr("n"), table.flush):
                with pytest.raises(RuntimeError, match="takes no more writes"):
                    write_of()
            # What a Kamailio's cells lead to goes on.
            with table.by_itself():
                table["k0"] = "y"
            assert table["k0"] == "y"

    asyncio.run(scenario())


def test_a_node_whose_others_are_mute_ends_within_its_time_and_says_what_is_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario() -> float:
        stays = node_of("127.0.0.94")
        await stays.start()
        goes = node_of("127.0.0.93", str(stays.config.server_address), stop_timeout="0.3")
        async with goes:
            await both_there(stays, goes)
            stays.bus._closed = True  # Deaf, and its port still open: nothing is refused.
            goes.table("t")["a"] = "x"
            began = asyncio.get_running_loop().time()
        took = asyncio.get_running_loop().time() - began
        await stays.stop(leave=False)
        return took

    with caplog.at_level("WARNING", "dmqcache.store"):
        # Less than it takes until the other counts as lost.
        assert asyncio.run(scenario()) >= 0.3
    assert "stopping although not all is acknowledged" in caplog.text
    assert "lacks 1" in caplog.text


def test_two_stops_at_once_are_one() -> None:
    async def scenario() -> None:
        node = node_of("127.0.0.93")
        await node.start()
        await asyncio.gather(node.stop(), node.stop())
        await node.start()
        await node.stop()

    asyncio.run(scenario())


def test_who_stops_waiting_for_others_leaves_nothing_behind() -> None:
    async def scenario() -> None:
        async with node_of("127.0.0.93") as node:
            waiting = asyncio.create_task(node.wait_replicated(9))
            await asyncio.sleep(0)
            assert len(node.store.waiters._waiting) == 1
            waiting.cancel()
            await asyncio.wait({waiting})
            assert not node.store.waiters._waiting

    asyncio.run(scenario())


def test_before_its_start_a_node_has_its_options_and_nothing_else() -> None:
    node = CacheNode(tables=["users"])
    assert [table.name for table in node.config.tables] == ["users"]
    assert not node.ready
    for what in ("store", "bus", "tables", "counters"):
        with pytest.raises(RuntimeError, match="the node is not started"):
            getattr(node, what)


def test_a_table_by_its_name_and_the_names_for_who_asks_for_another() -> None:
    async def scenario() -> None:
        async with CacheNode(server_address=free("127.0.0.95"), tables=["b", "a"]) as node:
            assert list(node.tables) == ["b", "a"]
            assert node.table("a") is node.tables["a"]
            with pytest.raises(KeyError, match="no table 'c'; there are: b, a"):
                node.table("c")

    asyncio.run(scenario())


def test_a_peer_by_its_channel_and_the_channels_for_who_asks_for_another() -> None:
    node = node_of("127.0.0.94", peer=["dialog"])
    assert (node.peer("dialog").calls(), list(node.peers)) == ([], ["dialog"])
    with pytest.raises(KeyError, match="no peer 'usrloc' was loaded; there are: dialog"):
        node.peer("usrloc")
    with pytest.raises(KeyError, match="there are: none"):
        node_of("127.0.0.94").peer("dialog")
    elsewhere = node_of("127.0.0.94", peer=["usrloc=registrations"])
    assert elsewhere.peer("usrloc") is elsewhere.peer("registrations")


def test_who_iterates_over_a_mirrors_changes_is_at_the_end_when_the_node_stops() -> None:
    async def scenario() -> list[object]:
        async with node_of("127.0.0.94", peer=["usrloc"]) as node:
            changes = node.peer("usrloc").changes()
        async with asyncio.timeout(10):
            return [change async for change in changes]

    assert asyncio.run(scenario()) == []


def test_a_write_is_waited_for_on_as_many_nodes_as_are_wanted() -> None:
    async def scenario() -> None:
        address = free("127.0.0.94")
        first = CacheNode(server_address=address, tables=["users"])
        second = CacheNode(
            server_address=free("127.0.0.95"), notification_address=[address], tables=["users"]
        )
        async with first, second:
            await second.wait_ready(20)
            await until(lambda: len(first.bus.active_nodes()) == 1)
            second.table("users")["alice"] = "x"
            assert await second.wait_replicated(1, timeout=20) == 1
            assert second.acknowledged() == 1
            assert first.table("users")["alice"] == "x"
            assert await second.wait_replicated(2, timeout=0.01) == 1, "there is no second one"
            assert [row.local for row in second.node_rows()] == [True, False]
            assert second.sync_progress().state == "ready"

    asyncio.run(scenario())


class Noting(Peer):
    """Notes who sent what it hears."""

    def __init__(self) -> None:
        super().__init__("noting")
        self.senders: list[NodeURI] = []

    def handle(self, message: Message) -> Reply:
        self.senders.append(message.sender)
        return Reply()


@pytest.mark.parametrize("transport", ["", ";transport=tcp"])
def test_a_node_has_one_address_wherever_it_is_named(transport: str) -> None:
    """As the sender of a message and of an answer, as the writer of a cell, and in the lists."""

    async def scenario() -> None:
        address = free("127.0.0.94") + transport
        first = CacheNode(server_address=address, tables=["users"])
        second = CacheNode(
            server_address=free("127.0.0.95") + transport, notification_address=[address], tables=["users"]
        )
        async with first, second:
            await both_there(first, second)
            here, there = Noting(), Noting()
            first.bus.register_peer(here)
            second.bus.register_peer(there)
            answered: list[NodeURI] = []
            first.bus.send_message(
                here, b"", second.bus.local.uri, on_response=lambda answer: answered.append(answer.node)
            )
            first.bus.send_message(here, b"", str(second.node_rows()[0].uri))
            first.table("users")["alice"] = "x"
            await until(lambda: len(there.senders) == 2 and answered and "alice" in second.table("users"))
            (row,) = [row.uri for row in second.node_rows() if not row.local]
            writer = second.table("users").cells["alice"].writer
            assert there.senders == [first.bus.local.uri] * 2 and answered == [second.bus.local.uri]
            assert {writer, row, str(others(second)[0].uri)} == {str(there.senders[0])} == {address}

    asyncio.run(scenario())


def test_a_node_that_is_not_ready_in_time_is_told_so() -> None:
    async def scenario() -> None:
        node = CacheNode(server_address=free("127.0.0.95"))
        with pytest.raises(TimeoutError):
            await node.wait_ready(0.01)

    asyncio.run(scenario())


def test_a_writer_waits_only_while_too_much_waits_for_others() -> None:
    async def scenario() -> None:
        async with CacheNode(server_address=free("127.0.0.95"), tables=["t"]) as node:
            for number in range(10_000):
                node.table("t")[f"k{number}"] = "x"
            assert not node.congested(), "nobody is there to be told"
            await node.drain()

    asyncio.run(scenario())


def test_a_process_that_was_forked_is_refused_each_write_and_the_other_goes_on() -> None:
    """Nobody would hear of it: ``multiprocessing`` of a program with a node."""

    async def scenario() -> None:
        async with node_of("127.0.0.94") as node:
            table = node.table("t")
            table["a"] = "x"
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # of threads, which the tests have
                child = os.fork()
            if not child:
                code = 1
                with suppress(BaseException):
                    for write in (lambda: table.set("a", "y"), lambda: table.delete("a"), table.flush):
                        with pytest.raises(RuntimeError, match="was forked: start a node after the fork"):
                            write()  # type: ignore[operator]
                    code = 0 if table["a"] == "x" else 2
                os._exit(code)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            table["a"] = "z"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "options", [("tls_certificate", "tls_key", "tls_ca"), ("client_tls_certificate", "client_tls_key")]
)
def test_a_private_key_that_everybody_can_read_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, options: tuple[str, ...]
) -> None:
    key = tmp_path / "key.pem"
    key.write_text("nonsense")

    async def main(mode: int) -> None:
        key.chmod(mode)
        caplog.clear()
        files: Any = dict.fromkeys(options, str(key))
        with pytest.raises(OSError, match="not a certificate and its key"):
            await CacheNode(
                server_address=free("127.0.0.95"), http_address="127.0.0.1:0", http_tls=True, **files
            ).start()
        warned = f"{key} can be read or written by every user of this machine: chmod 600 {key}" in caplog.text
        assert warned is (mode == 0o644)

    for mode in (0o600, 0o644):
        asyncio.run(main(mode))
