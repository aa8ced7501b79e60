"""LCS: what two values have in common, in order. How it is found: ``lcs.py``."""

from __future__ import annotations

from typing import Final, NamedTuple

from dmqcache.server.resp.command import Command, Options
from dmqcache.server.resp.commands_bytes import MAX_BYTES, bytes_of
from dmqcache.server.resp.lcs import Run, Search
from dmqcache.server.resp.reply import CommandError, bulk, integer, syntax_error
from dmqcache.server.resp.session import Answer, Session
from dmqcache.server.resp.steps import Steps, in_steps

#: What Redis' table takes for each pair of bytes; it takes at most what one value may.
PAIR_BYTES: Final = 4


class _Wanted(NamedTuple):
    length: bool = False
    places: bool = False
    least: int = 0
    sizes: bool = False


def lcs(session: Session, args: list[str]) -> Answer:
    a, b = (bytes_of(session, key, counted=True) for key in args[1:3])
    wanted = _Wanted()
    for word in (options := Options(args, 3)):
        if word == "LEN":
            wanted = wanted._replace(length=True)
        elif word == "IDX":
            wanted = wanted._replace(places=True)
        elif word == "WITHMATCHLEN":
            wanted = wanted._replace(sizes=True)
        elif word == "MINMATCHLEN" and options.has_more():
            wanted = wanted._replace(least=options.integer())
        else:
            raise syntax_error()
    if wanted.length and wanted.places:
        raise CommandError("ERR If you want both the length and indexes, please just use IDX.")
    if (len(a) + 1) * (len(b) + 1) * PAIR_BYTES > MAX_BYTES:
        raise CommandError("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len")
    return in_steps(session, _compare(a, b, wanted, session.resp3))


def _compare(a: bytes, b: bytes, wanted: _Wanted, resp3: bool) -> Steps:
    search = Search(a, b) if a and b else None
    length = (yield from search.length()) if search else 0
    if wanted.length:
        return integer(length)
    common, places = [], []
    for run in search.runs() if search else ():
        if run is not None and not wanted.places:
            common.append(a[run.in_a : run.in_a + run.size])
        elif run is not None and run.size >= wanted.least:
            places.append(_place(run, wanted.sizes))
        yield
    if not wanted.places:
        text = b"".join(reversed(common))
        return b"$%d\r\n%b\r\n" % (len(text), text)
    head = b"%2\r\n" if resp3 else b"*4\r\n"
    found = b"*%d\r\n%b" % (len(places), b"".join(places))
    return head + bulk("matches") + found + bulk("len") + integer(length)


def _place(run: Run, with_size: bool) -> bytes:
    """First and last place in each, and how long it is."""
    a, b, size = run
    ends = (3 if with_size else 2, a, a + size - 1, b, b + size - 1)
    said = b"*%d\r\n*2\r\n:%d\r\n:%d\r\n*2\r\n:%d\r\n:%d\r\n" % ends
    return said + integer(size) if with_size else said


COMMANDS = (
    Command("LCS", lcs, -3, "readonly", "Returns the longest common subsequence of two values.", (1, 2, 1)),
)
