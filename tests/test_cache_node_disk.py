"""A node with a folder: what a program, a client and an operator see of its disk."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dmqcache import CacheNode, ConfigError
from tests.test_cache_node_start import free
from tests.waiting import until

#: Bytes of the small file system, in KiB.
SMALL_KIB = 1_024


def node_of(folder: Path, **options: object) -> CacheNode:
    given = {"server_address": free("127.0.0.97"), "tables": ["t"], "flush_interval": 0.1}
    return CacheNode(**given, data_dir=folder, **options)


def test_a_node_has_back_what_it_had(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with node_of(tmp_path) as node:
            table = node.table("t")
            table["a"] = "x"
            table.set("b", "y", ttl=1_000)
            table.incr("n", 5)
            table["gone"] = "x"
            del table["gone"]
            assert await node.wait_on_disk(10)
            table["last"] = "z"
            assert node.disk is not None and node.disk.fault == ""
        async with node_of(tmp_path) as node:
            table = node.table("t")
            assert dict(table.items()) == {"a": "x", "b": "y", "n": 5, "last": "z"}
            assert 990 < (table.ttl("b") or 0) <= 1_000
            assert table.incr("n", 2) == 7

    asyncio.run(scenario())


def test_a_node_without_a_folder_has_no_disk() -> None:
    async def scenario() -> None:
        async with CacheNode(server_address=free("127.0.0.97"), tables=["t"]) as node:
            assert node.disk is None
            assert not await node.wait_on_disk(1)
            assert node.table("t").touched is None

    asyncio.run(scenario())


def test_waitaof_answers_for_this_nodes_disk(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with node_of(
            tmp_path, client_address=f"127.0.0.97:{free('127.0.0.97').rpartition(':')[2]}"
        ) as node:
            address = node.config.client_address
            assert address is not None
            reader, writer = await asyncio.open_connection(*address)
            writer.write(b"SET a x\r\nWAITAOF 1 0 5000\r\nINFO persistence\r\n")
            assert await reader.readexactly(len(b"+OK\r\n*2\r\n:1\r\n:0\r\n")) == b"+OK\r\n*2\r\n:1\r\n:0\r\n"
            assert b"aof_enabled:1\r\naof_last_write_status:ok" in await reader.readuntil(b"disk_fault:")
            writer.close()

    asyncio.run(scenario())


def test_a_flush_interval_that_makes_no_sense_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"less than the least, 0\.1 seconds"):
        CacheNode(data_dir=tmp_path, flush_interval=0)
    with pytest.raises(ConfigError, match="is empty"):
        CacheNode(data_dir="")


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of one MiB."""
    place = tmp_path / "small"
    place.mkdir()
    if os.geteuid() or not shutil.which("mount"):
        pytest.skip("only root may mount a small file system")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SMALL_KIB}k", "tmpfs", str(place)],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_is_one_line_and_the_node_goes_on(small: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with node_of(small) as node:
            table = node.table("t")
            table["before"] = "x"
            assert await node.wait_on_disk(10)
            for number in range(3_000):
                table[f"k{number}"] = "x" * 1_000
            assert not await node.wait_on_disk(10)
            assert node.disk is not None
            assert "full" in node.disk.fault
            assert len(table) == 3_001
            table["meanwhile"] = "y"
            await until(lambda: node.disk is not None and node.disk.errors > 3)
            for number in range(3_000):
                del table[f"k{number}"]
            await until(lambda: node.disk is not None and not node.disk.fault)
            assert await node.wait_on_disk(10)
        async with node_of(small) as node:
            assert dict(node.table("t").items()) == {"before": "x", "meanwhile": "y"}

    asyncio.run(scenario())
    assert len([line for line in caplog.messages if "cannot write to" in line]) == 1
    assert len([line for line in caplog.messages if "works again" in line]) == 1


def test_a_file_system_that_may_only_be_read_is_one_line(
    small: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def fill() -> None:
        async with node_of(small) as node:
            node.table("t")["a"] = "x"

    async def scenario() -> None:
        async with node_of(small) as node:
            node.table("t")["b"] = "y"
            assert not await node.wait_on_disk(1)
            assert node.disk is not None
            assert node.disk.errors == 1

    asyncio.run(fill())
    subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)
    asyncio.run(scenario())
    assert len([line for line in caplog.messages if "goes on without" in line]) == 1


@pytest.fixture
def on_ext4(tmp_path: Path) -> Iterator[Path]:
    """A file system with a journal, which becomes read-only under its users as one does after an error."""
    image, place = tmp_path / "image", tmp_path / "ext4"
    place.mkdir()
    if os.geteuid() or not all(map(shutil.which, ("mount", "mkfs.ext4", "chattr"))):
        pytest.skip("only root may mount a file system, and there must be ext4")
    image.write_bytes(b"")
    os.truncate(image, 32 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
    if subprocess.run(["mount", "-o", "loop", str(image), str(place)], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def stop_taking(place: Path, how: str) -> None:
    subprocess.run(["sync", "-f", str(place)], check=True)
    if how == "read-only":
        subprocess.run(["mount", "-o", "remount,abort", str(place)], check=True)
    else:
        # What may not be changed may not be written through mapped memory either: SIGBUS.
        subprocess.run(["chattr", "-R", "+i", str(place)], check=True)


def take_again(place: Path, how: str) -> None:
    if how == "read-only":
        # Such a file system comes back when it is mounted anew, here another one.
        subprocess.run(["umount", "-l", str(place)], check=True)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(place)], check=True)
    else:
        subprocess.run(["chattr", "-R", "-i", str(place)], check=True)


@pytest.mark.parametrize(
    ("how", "said"),
    [("read-only", "Read-only file system"), ("not to be changed", "Operation not permitted")],
)
def test_a_disk_that_takes_nothing_any_more_stops_nothing_and_gets_all_when_it_does_again(
    how: str, said: str, on_ext4: Path, caplog: pytest.LogCaptureFixture
) -> None:
    host = "127.0.0.97"

    async def scenario() -> None:
        doors = {name: free(host).removeprefix("sip:") for name in ("client_address", "http_address")}
        async with node_of(on_ext4, **doors) as node:

            async def wait_aof() -> bytes:
                assert node.config.client_address is not None
                reader, writer = await asyncio.open_connection(*node.config.client_address)
                writer.write(b"SET asked 1\r\nWAITAOF 1 0 9000\r\nQUIT\r\n")
                answer = await reader.read()
                writer.close()
                return answer.split(b"\r\n")[2]

            async def get(path: str) -> str:
                assert node.config.http_address is not None
                reader, writer = await asyncio.open_connection(*node.config.http_address)
                writer.write(f"GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
                answer = await reader.read()
                writer.close()
                return answer.decode()

            table = node.table("t")
            table["before"] = "x"
            assert await wait_aof() == b":1"
            assert node.disk is not None
            stop_taking(on_ext4, how)
            # More than SQLite keeps in memory until a transaction ends.
            for number in range(3_000):
                table[f"k{number}"] = "x" * 1_000
            assert await wait_aof() == b":0"
            assert node.disk.fault == said
            assert said in await get("/")
            metrics = await get("/metrics")
            assert "\ndmqcache_disk_errors_total 0" not in metrics
            assert "\ndmqcache_disk_behind_seconds 0\n" not in metrics
            assert table["before"] == "x" and len(table) == 3_002
            take_again(on_ext4, how)
            await until(lambda: node.disk is not None and not node.disk.fault, 60)
            assert await wait_aof() == b":1"
        async with node_of(on_ext4) as node:
            table = node.table("t")
            assert table["before"] == "x" and len(table) == 3_002

    asyncio.run(scenario())
    assert len([line for line in caplog.messages if f": {said}; it is tried again" in line]) == 1
    assert [line for line in caplog.messages if "works again" in line]
