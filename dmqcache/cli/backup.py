"""Backups: all cells of a node's tables in a file of JSON lines, and back into the tables of any node.

The first line says what the file is; each other one is a cell. How a dump grows, and goes on where it was cut
off, is in ``growing_dump.py``. How far a load has come stands beside the file, until it is done, with what
that belongs to: another file, or other options, begin anew. A time to live goes on while the cell is in the
file.
"""

from __future__ import annotations

import json
import math
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Final

from dmqcache.cli.arguments import complain
from dmqcache.cli.client import Cell, Client, CommandFailed
from dmqcache.cli.growing_dump import GrowingDump, plain_file
from dmqcache.cli.progress import Progress
from dmqcache.cli.rdb_file import RdbFile, is_rdb

#: What the first line says.
FORM: Final = {"dmqcache": "backup", "form": 1}
#: Cells written at once by a load, and after which its progress is noted.
LOAD_CELLS: Final = 500
LOAD_BYTES: Final = 1_000_000
#: Refused cells that are named; the others are counted.
MAX_NAMED: Final = 10
#: What a file begins with that gzip has made.
GZIP: Final = b"\x1f\x8b"


def write_backup(
    client: Client,
    file: Path,
    tables: Sequence[str] | None,
    prefix: str = "",
    *,
    tell: Callable[[str], object] = complain,
    now: Callable[[], float] = time.time,
) -> int:
    """Write these tables (None: all) into a file; returns how many cells are in it. ``tell`` hears whether
    one that was cut off is gone on with."""
    try:
        file = plain_file(file)
        cells = {str(row["table"]): int(row["keys"]) for row in client.report("tables")}
        names = list(cells) if tables is None else [_named(one, list(cells)) for one in tables]
        head = FORM | {"node": _node(client), "tables": names, "prefix": prefix}
        with GrowingDump(file, head, now()) as dump:
            if dump.told:
                tell(dump.told)
            done, last = dump.done, dump.last
            total = 0 if prefix else sum(cells.get(name, 0) for name in names)
            with Progress("cells", total, done) as progress:
                for name in names[names.index(last[0]) if last else 0 :]:
                    client.select(name)
                    after = last[1] if last and last[0] == name else None
                    for cell in client.cells(prefix, after):
                        dump.write(_line(name, cell, now()))
                        done += 1
                        progress.at(done)
            dump.finish()
    except OSError as error:
        raise CommandFailed(f"{error.filename or file}: {error.strerror}") from None
    return done


def _node(client: Client) -> list[str]:
    """By what a node is known again: its address and, if the user may know it, which process answers there. A
    node that was started anew may have other cells."""
    try:
        return [str(client.address), str(client.report("stats")["server"]["run_id"])]
    except CommandFailed:
        return [str(client.address)]


def _named(table: str, names: list[str]) -> str:
    """The name of a table that may be given by its number. CommandFailed if there is none, before a file is
    begun."""
    if table in names:
        return table
    if table.isdecimal() and int(table) < len(names):
        return names[int(table)]
    raise CommandFailed(f"no table {table!r}, the tables are {', '.join(names)}")


def _line(table: str, cell: Cell, now: float) -> str:
    row: dict[str, Any] = {"table": table, "key": cell.key, "value": cell.value}
    if cell.ttl is not None:
        row["expires_at"] = round(now + cell.ttl, 3)
    return json.dumps(row) + "\n"


def _before(number: int) -> str:
    """What a file that breaks off in its midst still gave."""
    return f"; the {number - 2} cells before it were read" if number > 2 else ""


def _read(file: Path, number: int, line: bytes) -> dict[str, Any]:
    """A line. CommandFailed, with its number, if it is none of a backup."""
    if number == 1 and line.startswith(GZIP):
        raise CommandFailed(f"{file} is compressed: gunzip it first")
    try:
        row = json.loads(line)
        if number == 1 and isinstance(row, dict) and row.get("dmqcache") == "backup":
            if row.get("form") == FORM["form"]:
                return row
            raise CommandFailed(
                f"{file} is of form {row.get('form')}, and this dmqcache reads {FORM['form']}"
            )
        good = all(_is_text(row[field]) for field in ("table", "key"))
        good = good and (type(row["value"]) is int or _is_text(row["value"]))
        over = row.get("expires_at", 0)
        good = good and type(over) in (int, float) and math.isfinite(over)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        good = False
    if not good or number == 1:
        words = f"this is no backup of 'dmqcache dump --output'{_before(number)}"
        raise CommandFailed(f"{file}, line {number}: {words}")
    return row  # type: ignore[no-any-return]


def _is_text(value: object) -> bool:
    """Whether it is one that can be sent: there are surrogates that stand for no byte."""
    if isinstance(value, str):
        value.encode("utf-8", "surrogateescape")
    return isinstance(value, str)


class Restore:
    """Loads one file into one node."""

    def __init__(
        self,
        client: Client,
        file: Path,
        *,
        only: str = "",
        into: str = "",
        missing: bool = False,
        now: Callable[[], float] = time.time,
    ) -> None:
        if file.is_dir():
            raise CommandFailed(f"{file} is a folder, and no backup")
        self._client = client
        self._file = file
        self._only = only
        self._into = into
        self._missing = missing
        self._now = now
        self._mark = file.with_name(f"{file.name}.loaded-{_word(client)}")
        self._selected = ""
        self.loaded = self.over = self.held = 0
        #: A line for each of the first cells that the node refused, and their number.
        self.refused: list[str] = []
        self._refused = 0
        #: The line, where it goes on after one that was cut off, and what says so; 0: it begins.
        self.resumed = 0
        self._met: set[str] = set()

    def report(self) -> dict[str, int]:
        """What became of the cells."""
        return {"loaded": self.loaded, "over": self.over, "kept": self.held, "refused": self._refused}

    def run(self) -> None:
        """Load what is not loaded yet."""
        try:
            if not stat.S_ISREG(self._file.stat().st_mode):
                raise CommandFailed(f"{self._file} is no plain file, in which a load could go on")
            if is_rdb(self._file):
                self._run_rdb()
                self._look_for_only()
                return
            size = self._file.stat().st_size
            with self._file.open("rb") as held:
                _read(self._file, 1, held.readline())
                offset, number = self._noted(held)
                with Progress("bytes", size, offset) as progress:
                    for rows, length in _in_parts(self._rows(held, number)):
                        self._load(rows)
                        offset, number = offset + length, number + len(rows)
                        self._note(offset, number)
                        progress.at(offset)
        except OSError as error:
            raise CommandFailed(f"{error.filename or self._file}: {error.strerror}") from None
        self._mark.with_name(f"{self._mark.name}.new").unlink(missing_ok=True)
        self._mark.unlink(missing_ok=True)
        self._look_for_only()

    def _look_for_only(self) -> None:
        """Say so where there was nothing of the table that was asked for: a misspelt name would look as if
        all were loaded."""
        if self._only and self._only not in self._met and not self.resumed:
            there = ", ".join(sorted(self._met)) or "none"
            self.refused.append(f"{self._file} has no cell of table {self._only!r}, only of: {there}")

    def _run_rdb(self) -> None:
        """Load the strings of a Redis' file. Cut off, it begins anew: what is there is written once more."""
        rdb = RdbFile(self._file)
        with Progress("cells", 0, 0) as progress:
            done = 0
            sized = ((row, len(row["key"]) + len(row["value"])) for row in rdb.rows())
            for part, _ in _in_parts(sized):
                self._load(part)
                done += len(part)
                progress.at(done)
        if rdb.others:
            self.refused.append(f"{self._file}: keys that hold no string, left out: {rdb.others}")
            self._refused += rdb.others

    def _noted(self, held: IO[bytes]) -> tuple[int, int]:
        """Byte and line at which to go on."""
        start = held.tell()
        try:
            told = json.loads(self._mark.read_bytes())
            if told["of"] == self._load_of(os.fstat(held.fileno())) and start <= told["offset"]:
                held.seek(told["offset"])
                self.loaded, self.over, self.held = told["loaded"], told["over"], told["kept"]
                self._refused, self.refused = told["refused"], told["named"]
                self.resumed = told["line"] + 1
                return told["offset"], told["line"]
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return start, 1

    def _note(self, offset: int, number: int) -> None:
        """Remember how far it came; where that cannot be written, a load that is cut off begins anew."""
        told = {"of": self._load_of(self._file.stat()), "offset": offset, "line": number, **self.report()}
        told["named"] = self.refused
        # Written beside and renamed: cut off in the midst, it would be lost how far the load came.
        fresh = self._mark.with_name(f"{self._mark.name}.new")
        try:
            fresh.write_text(json.dumps(told))
            fresh.replace(self._mark)
        except OSError:
            return

    def _load_of(self, file: os.stat_result) -> list[Any]:
        """By what a load is known again: the file as it is, and the options."""
        return [file.st_size, file.st_mtime_ns, self._only, self._into, self._missing]

    def begin_anew(self) -> str:
        """What an operator is told of a load that goes on."""
        return f"goes on at line {self.resumed}; to begin anew, remove {self._mark}"

    def _rows(self, held: IO[bytes], number: int) -> Iterator[tuple[dict[str, Any], int]]:
        """The rows after line ``number``, and how many bytes each takes."""
        for line in held:
            number += 1
            yield _read(self._file, number, line), len(line)

    def _load(self, rows: list[dict[str, Any]]) -> None:
        """Cells of one table."""
        table = rows[0]["table"]
        self._met.add(table)
        if self._only and table != self._only:
            return
        table = self._into or table
        if table != self._selected:
            try:
                self._client.select(table)
            except CommandFailed:
                hint = f"the node has no table {table!r}: declare it, or choose with --table and --into"
                raise CommandFailed(hint) from None
            self._selected = table
        now = self._now()
        alive = [row for row in rows if row.get("expires_at", now + 1) > now]
        self.over += len(rows) - len(alive)
        replies = self._client.pipeline([self._command(row, now) for row in alive])
        for row, reply in zip(alive, replies, strict=True):
            if isinstance(reply, CommandFailed):
                self._refused += 1
                if len(self.refused) < MAX_NAMED:
                    self.refused.append(f"table {table}, key {row['key'][:80]!r}: {reply}")
            elif reply is None:
                self.held += 1
            else:
                self.loaded += 1

    def _command(self, row: dict[str, Any], now: float) -> list[str | int]:
        words: list[str | int] = ["SET", row["key"], row["value"]]
        if isinstance(row["value"], int):
            words.append("INT")
        if self._missing:
            words.append("NX")
        if "expires_at" in row:
            words += ["PX", max(1, int((row["expires_at"] - now) * 1000))]
        else:
            words.append("FOREVER")
        return words


def _in_parts(rows: Iterable[tuple[dict[str, Any], int]]) -> Iterator[tuple[list[dict[str, Any]], int]]:
    """Rows of one table, as many as are written at once, and the bytes of all. What stands before a row that
    cannot be read (CommandFailed) is a part as well."""
    part: list[dict[str, Any]] = []
    size = 0
    try:
        for row, length in rows:
            many = len(part) >= LOAD_CELLS or size + length > LOAD_BYTES
            if part and (many or row["table"] != part[0]["table"]):
                yield part, size
                part, size = [], 0
            part.append(row)
            size += length
    except CommandFailed:
        if part:
            yield part, size
        raise
    if part:
        yield part, size


def _word(client: Client) -> str:
    """The node's address as a part of a file's name."""
    return "".join(char if char.isalnum() or char in ".-" else "_" for char in str(client.address))
