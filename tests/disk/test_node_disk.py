"""A node's folder on a real disk: what can go wrong with it is one line, and the node goes on."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest

from dmqcache.bus.net.aio import AsyncioRuntime
from dmqcache.disk import file as module
from dmqcache.disk.file import open_file
from dmqcache.disk.folder import FILE, LOCK
from dmqcache.disk.node_disk import NodeDisk
from dmqcache.store.table.clock import Clock
from dmqcache.store.table.settings import TableSettings
from dmqcache.store.table.table import Table


class Node:
    """A table and its disk."""

    def __init__(self, folder: Path, life: int = 1) -> None:
        runtime = AsyncioRuntime()
        clock = Clock(runtime.now, runtime.wall_ms)
        self.table = Table(TableSettings.parse("t"), clock, identity=f"node#{life}")
        self.disk = NodeDisk(folder, 0.1, {"t": self.table}, clock, runtime, lambda: None)


def live(scenario: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        await scenario()

    asyncio.run(whole())


def test_a_later_process_finds_what_an_earlier_one_had(tmp_path: Path) -> None:
    async def scenario() -> None:
        first = Node(tmp_path)
        assert await first.disk.open() is None
        for number in range(5_000):
            first.table.set(f"k{number}", number)
        assert await first.disk.flush(10)
        assert first.disk.status.bytes > 5_000
        first.table.set("last", "x")
        await first.disk.close()
        before = time.time()
        second = Node(tmp_path, life=2)
        read_until = await second.disk.open()
        assert read_until is not None
        assert read_until <= before * 1000
        assert (len(second.table), second.table.get("last")) == (5_001, "x")
        assert second.disk.status.loaded == 5_001
        await second.disk.close()

    live(scenario)


def test_a_folder_in_use_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        first, second = Node(tmp_path), Node(tmp_path, life=2)
        await first.disk.open()
        first.table.set("a", "x")
        assert await second.disk.open() is None
        second.table.set("b", "y")
        assert not await second.disk.flush(1)
        await second.disk.close()
        assert await first.disk.flush(10)
        await first.disk.close()
        assert second.disk.status.errors == 1
        assert "in use by another node" in second.disk.status.fault

    live(scenario)
    assert len([line for line in caplog.messages if "goes on without" in line]) == 1
    opened = open_file(tmp_path, "now").file
    assert [row[0] for part in opened.rows("t") for row in part] == ["a"]
    opened.close()


def test_a_damaged_file_is_set_aside_and_begun_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / FILE).write_bytes(b"no database" * 1_000)

    async def scenario() -> None:
        node = Node(tmp_path)
        assert await node.disk.open() is None
        node.table.set("a", "x")
        assert await node.disk.flush(10)
        await node.disk.close()
        assert (node.disk.status.errors, node.disk.status.fault) == (1, "")

    live(scenario)
    assert len([line for line in caplog.messages if "set aside as" in line]) == 1
    assert len(list(tmp_path.glob(f"{FILE}.unusable-*[0-9]"))) == 1


def test_rows_that_make_no_sense_are_found_when_they_are_read_and_none_of_the_file_is_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        first = Node(tmp_path)
        await first.disk.open()
        for number in range(3_000):
            first.table.incr(f"k{number}")
        await first.disk.close()
        with sqlite3.connect(tmp_path / FILE) as other:
            other.execute("UPDATE cells SET counts = CAST('{' AS BLOB) WHERE key = 'k999'")
        other.close()
        second = Node(tmp_path, life=2)
        assert await second.disk.open() is None
        assert len(second.table) == 0
        second.table.set("a", "x")
        await second.disk.close()
        third = Node(tmp_path, life=3)
        await third.disk.open()
        assert list(third.table) == ["a"]
        await third.disk.close()

    live(scenario)
    assert len([line for line in caplog.messages if "set aside as" in line]) == 1


def test_a_node_without_a_folder_it_may_use_waits_for_no_disk(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")

    async def scenario() -> None:
        node = Node(tmp_path / "file" / "data")
        assert await node.disk.open() is None
        assert not await node.disk.flush()
        assert node.disk.status.behind() > 0
        await node.disk.close()

    live(scenario)
    assert len(caplog.messages) == 1
    assert "name a folder that this user may write to" in caplog.text
    assert caplog.messages[-1].startswith("data_dir ")


def test_damage_that_is_found_while_the_file_is_read_leaves_nothing_of_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        first = Node(tmp_path)
        await first.disk.open()
        for number in range(3_000):
            first.table.set(f"k{number:05}", "x" * 100)
        await first.disk.close()
        content = bytearray((tmp_path / FILE).read_bytes())
        content[-40_960:-8_192] = b"\xa5" * 32_768
        (tmp_path / FILE).write_bytes(bytes(content))
        second = Node(tmp_path, life=2)
        assert await second.disk.open() is None
        assert (len(second.table), second.disk.status.loaded) == (0, 0)
        second.table.set("a", "x")
        await second.disk.close()
        third = Node(tmp_path, life=3)
        await third.disk.open()
        assert list(third.table) == ["a"]
        await third.disk.close()

    live(scenario)
    assert len([line for line in caplog.messages if "set aside as" in line]) == 1


@pytest.mark.parametrize("code", [errno.EROFS, errno.EIO, errno.EACCES])
def test_while_nothing_may_be_written_the_reason_is_one_line_and_then_all_of_it_is(
    code: int, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It said "disk I/O error" of a file system that had become read-only; where that file system lets go of
    what is mapped of it, SQLite ended the process."""

    def refuse(path: object) -> None:
        raise OSError(code, os.strerror(code))

    async def scenario() -> None:
        first = Node(tmp_path)
        await first.disk.open()
        first.table.set("before", "1")
        assert await first.disk.flush(10)
        with monkeypatch.context() as patched:
            patched.setattr(os, "utime", refuse)
            first.table.set("during", "2")
            for _ in range(3):
                assert not await first.disk.flush(10)
            assert first.disk.status.fault == os.strerror(code)
            assert first.disk.status.behind() > 0
            assert first.table.get("during") == "2"
        assert await first.disk.flush(10)
        assert (first.disk.status.fault, first.disk.status.behind()) == ("", 0)
        await first.disk.close()
        second = Node(tmp_path, life=2)
        await second.disk.open()
        assert (second.table.get("before"), second.table.get("during")) == ("1", "2")
        await second.disk.close()

    live(scenario)
    said = [line for line in caplog.messages if "cannot write to" in line]
    assert said == [f"cannot write to {tmp_path}: {os.strerror(code)}; it is tried again"]
    assert len([line for line in caplog.messages if "works again" in line]) == 1
    assert not list(tmp_path.glob("*unusable*"))


def test_a_folder_that_may_not_be_looked_into_is_no_folder_that_was_taken_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stat = os.stat

    def refuse(path: object, **options: bool) -> os.stat_result:
        if str(path).startswith(str(tmp_path)):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        return stat(path, **options)  # type: ignore[call-overload, no-any-return]

    async def scenario() -> None:
        first = Node(tmp_path)
        await first.disk.open()
        with monkeypatch.context() as patched:
            patched.setattr(os, "stat", refuse)
            first.table.set("a", "1")
            assert not await first.disk.flush(10)
            assert first.disk.status.fault == os.strerror(errno.EACCES)
        assert await first.disk.flush(10)
        await first.disk.close()

    live(scenario)
    assert not list(tmp_path.glob("*unusable*"))


@pytest.mark.parametrize("taken", ["file", "folder", "lock", "replaced"])
def test_a_file_that_is_taken_away_under_the_node_is_noticed_and_written_anew(
    taken: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """WAITAOF said 1, and a later process found nothing."""
    folder = tmp_path / "data"

    def take() -> None:
        if taken == "file":
            for path in folder.glob(f"{FILE}*"):
                path.unlink()
        elif taken == "folder":
            folder.rename(tmp_path / "old")
            folder.mkdir()
        elif taken == "lock":
            (folder / LOCK).unlink()
        else:
            (folder / "new").write_text("of somebody else")
            (folder / "new").rename(folder / FILE)

    async def scenario() -> None:
        first = Node(folder)
        await first.disk.open()
        first.table.set("before", "1")
        assert await first.disk.flush(10)
        take()
        first.table.set("after", "2")
        assert not await first.disk.flush(10)
        assert first.disk.status.errors == 1 and "removed or replaced" in first.disk.status.fault
        assert await first.disk.flush(10)
        assert first.disk.status.fault == ""
        second = Node(folder, life=2)
        await second.disk.open()
        assert "in use by another node" in second.disk.status.fault
        await first.disk.close()
        third = Node(folder, life=3)
        await third.disk.open()
        assert (third.table.get("before"), third.table.get("after")) == ("1", "2")
        await third.disk.close()

    live(scenario)
    assert [line for line in caplog.messages if "removed or replaced; a new file is written whole" in line]
    assert len(list(folder.glob(f"{FILE}.unusable-*[0-9]"))) == (taken in ("lock", "replaced"))


@pytest.mark.parametrize("where", ["the first page", "the middle"])
def test_a_file_that_is_damaged_under_the_node_is_set_aside_and_written_anew(
    where: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It was tried again for ever, and never got better."""

    async def scenario() -> None:
        first = Node(tmp_path)
        await first.disk.open()
        for number in range(4_000):
            first.table.set(f"k{number:05}", "x" * 100)
        assert await first.disk.flush(10)
        with closing(sqlite3.connect(tmp_path / FILE)) as other:
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        size = (tmp_path / FILE).stat().st_size
        with (tmp_path / FILE).open("r+b") as damaged:
            damaged.seek(0 if where == "the first page" else 40_960)
            damaged.write(b"\xa5" * (size - 81_920))
        # What it has in memory of the file, SQLite does not read again.
        first.disk._keeper._writer.submit(
            lambda file: file._connection.execute("PRAGMA shrink_memory"), print
        )  # type: ignore[union-attr]
        for number in range(0, 4_000, 20):
            first.table.set(f"k{number:05}", "y")
        assert not await first.disk.flush(10)
        assert "is damaged" in first.disk.status.fault
        assert await first.disk.flush(10)
        assert first.disk.status.fault == ""
        await first.disk.close()
        second = Node(tmp_path, life=2)
        await second.disk.open()
        assert dict(second.table.items()) == dict(first.table.items())
        await second.disk.close()

    live(scenario)
    assert len([line for line in caplog.messages if "a new file is written whole" in line]) == 1
    assert len(list(tmp_path.glob(f"{FILE}.unusable-*[0-9]"))) == 1


def test_a_new_file_for_which_there_is_no_room_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path, whole: bool) -> sqlite3.Connection:
        path.write_text("")
        raise sqlite3.OperationalError("database or disk is full")

    async def scenario() -> None:
        first = Node(tmp_path)
        await first.disk.open()
        first.table.set("a", "1")
        assert await first.disk.flush(10)
        with monkeypatch.context() as patched:
            patched.setattr(module, "connect", fail)
            (tmp_path / FILE).unlink()
            for _ in range(4):
                assert not await first.disk.flush(10)
            assert first.disk.status.fault == "database or disk is full"
        assert await first.disk.flush(10)
        await first.disk.close()

    live(scenario)
    assert not list(tmp_path.glob(f"{FILE}.unusable-*"))


def test_a_folder_that_another_node_has_taken_over_is_not_shared(tmp_path: Path) -> None:
    folder = tmp_path / "data"

    async def scenario() -> None:
        first, second = Node(folder), Node(folder, life=2)
        await first.disk.open()
        shutil.rmtree(folder)
        assert not await first.disk.flush(10)
        assert not await first.disk.flush(10)
        assert first.disk.status.fault == f"{folder} is gone"
        await second.disk.open()
        assert not await first.disk.flush(10)
        assert "in use by another node" in first.disk.status.fault
        second.table.set("a", "1")
        assert await second.disk.flush(10)
        await second.disk.close()
        first.table.set("b", "2")
        assert await first.disk.flush(10)
        await first.disk.close()

    live(scenario)
