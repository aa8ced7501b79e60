"""Whose a folder is, and which files in it are set aside."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from dmqcache.disk.file import open_file
from dmqcache.disk.folder import APPLICATION, FILE, DiskError, verify
from tests.disk.files import opened, row, rows, write


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


def test_an_empty_file_is_used(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"")
    with closing(opened(tmp_path)) as file:
        write(file, "a", [row("x", "1")])
    with closing(sqlite3.connect(tmp_path / FILE)) as ours:
        assert ours.execute("PRAGMA application_id").fetchone() == (APPLICATION,)


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
