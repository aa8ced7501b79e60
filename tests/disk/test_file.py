"""The file on disk: what is written is there after any end, and what cannot be used is set aside whole."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from dmqcache.disk.file import APPLICATION, FILE, DiskError, DiskFile, open_file


def opened(folder: Path) -> DiskFile:
    result = open_file(folder, "now")
    assert result.set_aside is None
    return result.file


def everything(file: DiskFile, table: str) -> dict[bytes, bytes]:
    return {key: row for part in file.rows(table) for key, row in part}


def test_what_was_written_is_there_after_closing(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as file:
        file.write([("a", b"x", b"1"), ("a", b"y", b"2"), ("b", b"x", b"3")], [("clock", b"17")])
        file.write([("a", b"x", b"4"), ("a", b"y", None)])
    with closing(opened(tmp_path)) as file:
        assert everything(file, "a") == {b"x": b"4"}
        assert everything(file, "b") == {b"x": b"3"}
        assert file.names() == {"a": 1, "b": 1}
        assert file.note("clock") == b"17"
        assert file.note("other") is None


def test_many_rows_come_in_parts(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as file:
        file.write(("a", b"%d" % number, b"row") for number in range(5_000))
        parts = list(file.rows("a"))
    assert len(parts) == 3
    assert sum(map(len, parts)) == 5_000


def test_any_bytes_are_a_key_or_a_row(tmp_path: Path) -> None:
    key, row = bytes(range(256)), b"\x00\xff\x00"
    with closing(opened(tmp_path)) as file:
        file.write([("a", key, row)])
        assert everything(file, "a") == {key: row}


def test_a_table_is_taken_out_whole(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as file:
        file.write([("a", b"x", b"1"), ("b", b"x", b"2")])
        file.forget("a")
        assert file.names() == {"b": 1}


def test_a_batch_that_fails_changes_nothing(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as file:
        file.write([("a", b"x", b"1")])
        with pytest.raises(sqlite3.Error):
            file.write([("a", b"x", b"2"), ("a", b"y", object())])  # type: ignore[list-item]
        assert everything(file, "a") == {b"x": b"1"}
        file.write([("a", b"x", b"3")])
        assert everything(file, "a") == {b"x": b"3"}


KILLED = """
import os, signal, sys
from pathlib import Path
from dmqcache.disk.file import open_file
file = open_file(Path(sys.argv[1]), "now").file
number = 0
while True:
    number += 1
    file.write(("a", b"%d" % key, b"%d" % number) for key in range(500))
    print(number, flush=True)
"""


@pytest.mark.parametrize("batches", [1, 7, 23])
def test_after_a_kill_each_batch_is_there_whole(tmp_path: Path, batches: int) -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in range(batches):
            told = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
    with closing(opened(tmp_path)) as file:
        numbers = set(everything(file, "a").values())
        assert len(numbers) == 1
        assert int(numbers.pop()) >= told


def test_a_second_node_in_one_folder_is_refused(tmp_path: Path) -> None:
    with closing(opened(tmp_path)), pytest.raises(DiskError, match="in use by another node"):
        open_file(tmp_path, "now")
    opened(tmp_path).close()


def test_the_folder_is_made_and_is_nobody_elses(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "down"
    opened(folder).close()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / FILE).stat().st_mode & 0o777 == 0o600


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError, match="name a folder"):
        open_file(tmp_path / "file" / "data", "now")


def spoilt(tmp_path: Path, content: bytes) -> tuple[Path, str]:
    (tmp_path / FILE).write_bytes(content)
    result = open_file(tmp_path, "2026")
    with closing(result.file) as file:
        assert result.set_aside == tmp_path / f"{FILE}.unusable-2026"
        assert result.set_aside.read_bytes() == content
        assert file.names() == {}
        file.write([("a", b"x", b"1")])
    return result.set_aside, result.why


def test_a_damaged_file_is_set_aside(tmp_path: Path) -> None:
    assert "damaged" in spoilt(tmp_path, b"not a database at all, but some text" * 100)[1]


def test_a_file_that_is_damaged_in_the_middle_is_set_aside(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as file:
        file.write(("a", b"key%d" % number, b"x" * 100) for number in range(2_000))
    content = bytearray((tmp_path / FILE).read_bytes())
    content[8_192:40_960] = b"\xa5" * 32_768
    assert "damaged" in spoilt(tmp_path, bytes(content))[1]


def test_a_file_of_another_program_is_set_aside(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILE)) as other:
        other.execute("CREATE TABLE theirs (x)")
    assert "another program" in spoilt(tmp_path, (tmp_path / FILE).read_bytes())[1]


def test_a_newer_file_is_set_aside(tmp_path: Path) -> None:
    opened(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / FILE)) as newer:
        newer.execute("PRAGMA user_version = 99")
    assert "its form is 99" in spoilt(tmp_path, (tmp_path / FILE).read_bytes())[1]


def test_an_empty_file_is_used(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"")
    with closing(opened(tmp_path)) as file:
        file.write([("a", b"x", b"1")])
    with closing(sqlite3.connect(tmp_path / FILE)) as ours:
        assert ours.execute("PRAGMA application_id").fetchone() == (APPLICATION,)


def test_its_size_is_known(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as file:
        before = file.size()
        file.write(("a", b"key%d" % number, b"x" * 100) for number in range(2_000))
        assert file.size() > before + 200_000
