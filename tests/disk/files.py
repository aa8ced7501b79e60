"""Files in a folder of a test: opened, written and read in one word."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dmqcache.disk.file import DiskFile, open_file
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
