"""What any database is to the rest: rows to read in order, and a table to write anew in one transaction.

Owns the kinds of failure. A link is used by one thread at a time and holds a connection only from
``begin_...`` to ``close``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

#: A row as the database gives it.
Row = Sequence[Any]
#: A row that the database's table does not take (too long for its column, twice where it must be there once),
#: and why.
Untaken = tuple[Row, str]


class DatabaseError(Exception):
    """The database cannot be had or does not do what it is asked; one line."""


class WrongDatabase(DatabaseError):
    """It answers, and has not what the configuration says: it must be changed here or there."""


class Collided(DatabaseError):
    """Another wrote the same rows at the same moment, and the database chose this one to fail: it may be
    tried again at once."""


class Link(Protocol):
    """One database. Every method may raise :class:`DatabaseError`."""

    #: Whether its texts may hold any bytes; else UTF-8 without NUL.
    any_bytes: bool

    def begin_reading(self, table: str, columns: Sequence[str], count: int) -> None:
        """Read these columns of a table in the order of the first one, ``count`` rows at a time (0: none, to
        see whether all is there)."""

    def fetch(self) -> Sequence[Row]:
        """The next rows; none: that was all."""

    def begin_writing(self, table: str, columns: Sequence[str]) -> None:
        """Begin a transaction that writes a table anew: it is empty from now on."""

    def insert(self, rows: Sequence[Row]) -> list[Untaken]:
        """Add rows, with a value for each column of :meth:`begin_writing`, of which the first two are texts
        (bytes, if those may be any). Returns those that the table does not take; the others are added."""

    def commit(self) -> None:
        """From now on all that was written counts."""

    def close(self) -> None:
        """Let go of it; what was not committed never was."""


def one_line(error: BaseException) -> str:
    """What a driver says, in one line that is not too long."""
    return " ".join(str(error).split())[:300] or type(error).__name__
