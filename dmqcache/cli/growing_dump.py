"""The file in which a dump grows, ``FILE.part``, until it is whole and gets its name.

Its first line says what is dumped, of which node and since when: one that was cut off is gone on with where
all that is the same and little time went by, else its cells would be of two states. The others begin anew.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final, Self

from dmqcache.cli.client import CommandFailed

#: Seconds from its begin within which a dump may be gone on with.
FRESH_S: Final = 3600


def plain_file(file: Path) -> Path:
    """The file to write: what a symbolic link leads to, and else ``file``. CommandFailed where the whole dump
    could not be renamed to it, or something that is no plain file would be lost by that. OSError."""
    if file.is_dir() or file.name in ("", "-"):
        raise CommandFailed(f"{file} is no file to write to; --output takes a file's name")
    _check_plain(file)
    return Path(os.path.realpath(file)) if file.is_symlink() else file


def _check_plain(file: Path, *, follow: bool = True) -> None:
    try:
        mode = file.stat(follow_symlinks=follow).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        raise CommandFailed(f"{file} is no plain file, in which a dump could go on")


class GrowingDump:
    """One dump on its way. A context manager, which gives the file back. Raises OSError, and CommandFailed
    where the part is something else, or is written by another command."""

    def __init__(self, file: Path, head: dict[str, Any], now: float) -> None:
        """``head``: what the first line says; when it was begun is added."""
        self._file = file
        self._part = file.with_name(file.name + ".part")
        #: How many cells there are already, and table and key of the last of them.
        self.done = 0
        self.last: tuple[str, str] | None = None
        #: A line for the operator: that it goes on, or why not; "": there was nothing.
        self.told = ""
        self._out = self._opened()
        try:
            self._take_up(head, now)
            if self.last is None:
                self._begin(head | {"begun": round(now, 3)})
        except BaseException:
            self._out.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._out.close()

    def write(self, line: str) -> None:
        """Add a cell's line."""
        self._out.write(line.encode("ascii"))

    def finish(self) -> None:
        """It is whole: on the disk first, and then under its name."""
        self._out.flush()
        os.fsync(self._out.fileno())
        self._part.replace(self._file)

    def _opened(self) -> IO[bytes]:
        """The part, for this user alone, as it has all values, and for this command alone."""
        _check_plain(self._part, follow=False)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        out = os.fdopen(os.open(self._part, flags, 0o600), "r+b")
        try:
            fcntl.flock(out, fcntl.LOCK_EX | fcntl.LOCK_NB)
            same = os.path.samestat(os.fstat(out.fileno()), self._part.stat())
        except (BlockingIOError, FileNotFoundError):
            same = False
        except OSError:
            same = True  # a file system without locks
        if not same:
            out.close()
            raise CommandFailed(f"{self._part} is written by another dump")
        return out

    def _begin(self, head: dict[str, Any]) -> None:
        self._out.seek(0)
        self._out.truncate()
        with suppress(PermissionError):  # file systems whose modes are those of the mount
            os.fchmod(self._out.fileno(), 0o600)
        self._out.write(json.dumps(head).encode("ascii") + b"\n")

    def _take_up(self, head: dict[str, Any], now: float) -> None:
        """Find what was cut off. What stands behind its last whole line is taken away."""
        first = self._out.readline()
        if not first.endswith(b"\n"):
            self._check_own(first)
            return
        found = _object(first)
        if found.get("dmqcache") != "backup":
            raise CommandFailed(f"{self._part} is no dump that was cut off: take it away")
        begun = found.pop("begun", None)
        differs = _difference(found, head, begun, now)
        whole, last = len(first), b""
        for line in self._out:
            if not line.endswith(b"\n"):
                break
            self.done, whole, last = self.done + 1, whole + len(line), line
        row = _object(last)
        if (
            not differs
            and last
            and not (isinstance(row.get("key"), str) and row.get("table") in head["tables"])
        ):
            differs = "is damaged"
        if differs:
            self.done, self.told = 0, f"{self._part} {differs}: the dump begins anew"
        elif last:
            self.last = row["table"], row["key"]
            self.told = (
                f"goes on after key {row['key'][:80]!r} of table {row['table']} ({self.done} cells from "
                f"{_moment(begun)}); to begin anew, remove {self._part}"
            )
            self._out.seek(whole)
            self._out.truncate()

    def _check_own(self, first: bytes) -> None:
        """A dump that was killed at once has nothing yet, or a piece of its first line."""
        if first and not first.startswith(b'{"dmqcache"'[: len(first)]):
            raise CommandFailed(f"{self._part} is no dump that was cut off: take it away")


def _difference(found: dict[str, Any], head: dict[str, Any], begun: Any, now: float) -> str:
    """Why a part is not gone on with; "": it is."""
    if found.get("node") != head["node"]:
        return "is of another node, or of before it was restarted"
    if found != head:
        return "is of other cells"
    if type(begun) not in (int, float) or not 0 <= now - begun <= FRESH_S:
        return "was not begun within the last hour"
    return ""


def _object(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
