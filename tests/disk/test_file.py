"""The file on disk: what is written is there after any end, and what cannot be used is set aside whole."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest

from dmqcache.disk.file import TableState, begin_anew
from dmqcache.disk.folder import FILE
from dmqcache.store.table.kept import KeptPart, KeptRow
from tests.disk.files import everything, opened, row, rows, write


def test_what_was_written_is_there_after_closing(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as file:
        write(file, "a", [row("x", "1"), row("y", 2)])
        write(file, "b", [KeptRow("x", None, 7, 60_000, 17, 4, b"{}")])
        write(file, "a", [row("x", "4")], ["y"])
    with closing(opened(tmp_path)) as file:
        assert everything(file, "a") == {"x": "4"}
        assert list(file.rows("b")) == [[("x", None, 7, 60_000, 17, 4, b"{}")]]
        assert file.names() == ["a", "b"]


def test_what_is_noted_of_tables_and_times_is_there_too(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as file:
        assert (file.states(), file.notes()) == ({}, {})
        file.begin()
        file.note({"a": TableState(1, 2, 3), "b": TableState(0, 0, 9)}, {"time_ms": 17})
        file.note({"a": TableState(4, 5, 6)}, {"time_ms": 18})
        file.commit()
    with closing(opened(tmp_path)) as file:
        assert file.states() == {"a": TableState(4, 5, 6), "b": TableState(0, 0, 9)}
        assert file.notes() == {"time_ms": 18}


@pytest.mark.parametrize("number", [0, 1, 4, 49, 199, 201, 5_751])
def test_any_number_of_rows_goes_out_and_in_with_few_statements(tmp_path: Path, number: int) -> None:
    """After each the thread may have to wait for its turn."""
    keys = [f"key{one}" for one in range(number)]
    with closing(opened(tmp_path)) as file:
        statements: list[str] = []
        file._connection.set_trace_callback(lambda text: statements.append(str(text)[:6]))
        file.begin()
        file.put("a", KeptPart(plain=[value for key in keys for value in (key, "x", 7)]))
        file.commit()
        file._connection.set_trace_callback(None)
        assert statements.count("INSERT") <= 6
        assert everything(file, "a") == dict.fromkeys(keys, "x")
        write(file, "a", gone=keys[1:])
        assert list(everything(file, "a")) == keys[:1]


@pytest.mark.parametrize("number", [0, 1, 4, 49, 555, 1_234, 5_000])
def test_any_number_of_rows_goes_in_and_out(tmp_path: Path, number: int) -> None:
    with closing(opened(tmp_path)) as file:
        write(file, "a", rows(*range(number)))
        assert everything(file, "a") == {f"key{one}": "x" for one in range(number)}
        write(file, "a", [], [f"key{one}" for one in range(1, number)])
        assert len(everything(file, "a")) == min(number, 1)


@pytest.mark.parametrize("number", [0, 1, 4, 49, 555, 1_777, 9_000])
def test_any_number_of_cells_that_are_nothing_else_goes_in_and_out(tmp_path: Path, number: int) -> None:
    plain = [place for one in range(number) for place in (f"key{one}", one, one + 7)]
    with closing(opened(tmp_path)) as file:
        write(file, "a", [KeptRow(f"key{one}", "before", 1, 60, 17, 4, b"{}") for one in range(5)])
        file.begin()
        file.put("a", KeptPart(plain))
        file.commit()
        found = {one[0]: one for part in file.rows("a") for one in part}
    assert len(found) == max(5, number)
    assert all(found[f"key{one}"] == (f"key{one}", one, one + 7, 0, 0, 0, None) for one in range(number))


def test_any_text_and_any_bytes_are_a_key_or_a_value(tmp_path: Path) -> None:
    odd = bytes(range(256)).decode("utf-8", "surrogateescape")
    with closing(opened(tmp_path)) as file:
        write(file, "a", [row("n\0l", "\0"), row("big", -(1 << 63)), row("é", "ü")])
        write(file, "a", [row(odd, odd), row("12", "12")])
        assert everything(file, "a") == {
            "n\0l": "\0",
            "big": -(1 << 63),
            "é": "ü",
            bytes(range(256)): bytes(range(256)),
            "12": "12",
        }
        write(file, "a", [], [odd, "é"])
        assert sorted(map(str, everything(file, "a"))) == ["12", "big", "n\0l"]
        file.begin()
        file.put("a", KeptPart([odd, odd, 3, "é", "ü", 4]))
        file.commit()
        assert everything(file, "a")[bytes(range(256))] == bytes(range(256))
        assert everything(file, "a")["é"] == "ü"


def test_what_a_flush_killed_and_a_whole_table_are_taken_out(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as file:
        write(file, "a", [row("old", "1", 5), row("new", "2", 6)])
        write(file, "b", [row("x", "1")])
        file.begin()
        file.drop_up_to("a", 5)
        file.drop_all("b")
        file.commit()
        assert everything(file, "a") == {"new": "2"}
        assert file.names() == ["a"]


def test_a_flush_of_which_a_part_fails_changes_nothing(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as file:
        write(file, "a", [row("x", "1")])
        file.begin()
        file.put("a", KeptPart(rows=[row("x", "2")]))
        with pytest.raises(sqlite3.Error):
            file.put("a", KeptPart(["y", object(), 1]))  # type: ignore[list-item]
        for late in (lambda: file.put("a", KeptPart(["z", "3", 1])), lambda: file.drop_all("a"), file.commit):
            with pytest.raises(sqlite3.OperationalError, match="earlier part"):
                late()
        file.roll_back()
        assert everything(file, "a") == {"x": "1"}
        write(file, "a", [row("x", "3")])
        assert everything(file, "a") == {"x": "3"}


KILLED = """
import sys
from pathlib import Path
from dmqcache.disk.file import open_file
from dmqcache.store.table.kept import KeptPart
file = open_file(Path(sys.argv[1]), "now").file
number = 0
while True:
    number += 1
    file.begin()
    for part in range(5):
        plain = [place for key in range(500) for place in (f"{part} {key}", number, 1)]
        file.put("a", KeptPart(plain))
    file.commit()
    print(number, flush=True)
"""


@pytest.mark.parametrize("flushes", [1, 7, 23])
def test_after_a_kill_each_flush_is_there_whole(tmp_path: Path, flushes: int) -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in range(flushes):
            told = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
    with closing(opened(tmp_path)) as file:
        found = everything(file, "a")
        numbers = set(found.values())
        assert len(found) == 2_500
        assert len(numbers) == 1
        number = numbers.pop()
        assert isinstance(number, int)
        assert number >= told


def test_a_file_that_is_open_can_be_set_aside(tmp_path: Path) -> None:
    file = opened(tmp_path)
    write(file, "a", [row("x", "1")])
    aside = begin_anew(file, "2026")
    assert aside.exists()
    with closing(opened(tmp_path)) as anew:
        assert anew.names() == []


def test_a_flush_all_over_the_file_reads_and_writes_no_page_again_and_again(tmp_path: Path) -> None:
    def moved() -> int:
        """Bytes that this process has read and written."""
        lines = Path("/proc/self/io").read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith(("rchar", "wchar")))

    # It went to temporary files too.
    keys = [sha256(str(number).encode()).hexdigest() for number in range(20_000)]
    with closing(opened(tmp_path)) as file:
        write(file, "t", [row(key, "x" * 150) for key in sorted(keys)])
        file._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        before = moved()
        write(file, "t", [row(key, "y" * 150) for key in keys])
        took = (moved() - before) / (tmp_path / FILE).stat().st_size
        assert took < 2, took


def test_its_size_is_known(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as file:
        before = file.size()
        write(file, "a", rows(*range(2_000), value="x" * 100))
        assert file.size() > before + 200_000
        assert file.size() == sum(one.stat().st_size for one in tmp_path.glob(f"{FILE}*"))
        assert (tmp_path / f"{FILE}-wal").stat().st_size > 200_000, "most of it is in the WAL now"
