"""The file on disk: what is written is there after any end, and what cannot be used is set aside whole."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pytest

from dmqcache.disk.file import (
    APPLICATION,
    FILE,
    DiskError,
    DiskFile,
    TableState,
    begin_anew,
    open_file,
    verify,
)
from dmqcache.store.table.kept import KeptPart, KeptRow


def opened(folder: Path) -> DiskFile:
    result = open_file(folder, "now")
    assert result.set_aside is None
    return result.file


def row(key: str | bytes, value: str | int | bytes | None, version: int = 1) -> KeptRow:
    return KeptRow(key, value, version, 0, 0, 0, None)


def rows(*numbers: int, value: str = "x") -> list[KeptRow]:
    return [row(f"key{number}", value) for number in numbers]


def write(file: DiskFile, table: str, kept: Iterable[KeptRow] = (), gone: Iterable[str] = ()) -> None:
    file.begin()
    file.put(table, KeptPart(rows=list(kept), gone=list(gone)))
    file.commit()


def everything(file: DiskFile, table: str) -> dict[str | bytes, str | int | bytes | None]:
    return {one[0]: one[1] for part in file.rows(table) for one in part}


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


def test_a_file_that_cannot_be_opened_says_nothing_about_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    with pytest.raises(DiskError, match=FILE):
        open_file(tmp_path, "now")
    assert (tmp_path / FILE).is_dir()


def spoilt(tmp_path: Path, content: bytes) -> tuple[Path, str]:
    (tmp_path / FILE).write_bytes(content)
    result = open_file(tmp_path, "2026")
    with closing(result.file) as file:
        assert result.set_aside == tmp_path / f"{FILE}.unusable-2026"
        assert result.set_aside.read_bytes() == content
        assert file.names() == []
        write(file, "a", [row("x", "1")])
    return result.set_aside, result.why


def test_a_damaged_file_is_set_aside(tmp_path: Path) -> None:
    assert "damaged" in spoilt(tmp_path, b"not a database at all, but some text" * 100)[1]


def test_a_file_that_is_damaged_in_the_middle_is_set_aside(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as file:
        write(file, "a", rows(*range(2_000), value="x" * 100))
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


def test_a_file_with_rows_that_nobody_here_wrote_is_set_aside(tmp_path: Path) -> None:
    opened(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / FILE)) as other:
        other.execute("PRAGMA ignore_check_constraints = ON")
        other.execute("INSERT INTO cells VALUES ('a', 'x', 'y', 'no version', 0, 0, 0, NULL)")
        other.commit()
    assert "damaged" in spoilt(tmp_path, (tmp_path / FILE).read_bytes())[1]


def test_a_file_that_is_open_can_be_set_aside(tmp_path: Path) -> None:
    file = opened(tmp_path)
    write(file, "a", [row("x", "1")])
    aside = begin_anew(file, "2026")
    assert aside.exists()
    with closing(opened(tmp_path)) as anew:
        assert anew.names() == []


def test_an_empty_file_is_used(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"")
    with closing(opened(tmp_path)) as file:
        write(file, "a", [row("x", "1")])
    with closing(sqlite3.connect(tmp_path / FILE)) as ours:
        assert ours.execute("PRAGMA application_id").fetchone() == (APPLICATION,)


def test_its_size_is_known(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as file:
        before = file.size()
        write(file, "a", rows(*range(2_000), value="x" * 100))
        assert file.size() > before + 200_000


def test_a_file_may_be_looked_through_apart(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as file:
        write(file, "a", rows(*range(2_000), value="x" * 100))
        assert verify(tmp_path / FILE) == ""
    content = bytearray((tmp_path / FILE).read_bytes())
    content[8_192:40_960] = b"\xa5" * 32_768
    (tmp_path / FILE).write_bytes(bytes(content))
    result = open_file(tmp_path, "now", whole=False)
    with closing(result.file):
        assert result.set_aside is None
        assert verify(tmp_path / FILE).startswith("it is damaged (")
