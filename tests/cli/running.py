"""One command run in this process: what it prints and the code that it ends with."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Ran(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Ran]


def one_line(ran: Ran) -> str:
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.startswith("dmqcache: ")
    assert ran.err.count("\n") == 1
    return ran.err
