"""Our own commands: what Redis has no word for. The node's, tables' and statistics' rows are JSON text,
for the command line; keys and values, which may be any bytes, are RESP."""

from __future__ import annotations

from typing import Any

import msgspec

from dmqcache.server.resp.command import ONE_KEY, Command, Options
from dmqcache.server.resp.commands_scan import next_keys
from dmqcache.server.resp.info import node_rows, sections, table_rows
from dmqcache.server.resp.reply import (
    CommandError,
    bulks,
    encode,
    integer,
    null,
    syntax_error,
)
from dmqcache.server.resp.session import Session
from dmqcache.store.table.patterns import MatchKind, MatchOn

#: Cells that one DMQ.SCAN returns when the client names no COUNT.
SCAN_CELLS = 1000


def _json(value: Any) -> bytes:
    data = msgspec.json.encode(value)
    return b"$%d\r\n%b\r\n" % (len(data), data)


def nodes(session: Session, args: list[str]) -> bytes:
    return _json(node_rows(session.shared))


def tables(session: Session, args: list[str]) -> bytes:
    return _json(table_rows(session.shared))


def stats(session: Session, args: list[str]) -> bytes:
    return _json({title.lower(): section for title, section in sections(session.shared).items()})


def _pattern(args: list[str]) -> tuple[MatchKind, str, MatchOn]:
    try:
        return MatchKind(args[1].lower()), args[3], MatchOn(args[2].lower())
    except ValueError:
        kinds, places = "|".join(MatchKind), "|".join(MatchOn)
        raise CommandError(f"ERR {args[0].upper()} takes {kinds} {places} PATTERN") from None


def match(session: Session, args: list[str]) -> bytes:
    kind, pattern, on = _pattern(args)
    return bulks(session.table.match(kind, pattern, on))


def remove(session: Session, args: list[str]) -> bytes:
    kind, pattern, on = _pattern(args)
    return integer(session.table.delete_matching(kind, pattern, on))


def _cell(session: Session, key: str) -> list[Any] | None:
    """Value (an integer stays one) and milliseconds left, -1 for ever."""
    try:
        left = session.table.ttl(key)
    except KeyError:
        return None
    return [session.table.get(key), -1 if left is None else max(0, round(left * 1000))]


def cell(session: Session, args: list[str]) -> bytes:
    found = _cell(session, args[1])
    return null(session.resp3) if found is None else encode(found, session.resp3)


def scan(session: Session, args: list[str]) -> bytes:
    prefix, count = "", SCAN_CELLS
    options = Options(args, 2)
    for word in options:
        if word == "PREFIX":
            prefix = options.value()
        elif word == "COUNT":
            count = options.integer()
            if count < 1:
                raise syntax_error()
        else:
            raise syntax_error()
    cursor, keys = next_keys(session, args[1], prefix, count)
    flat: list[Any] = []
    for key in keys:
        found = _cell(session, key)
        if found is not None:
            flat += [key, *found]
    return encode([str(cursor), flat], session.resp3)


COMMANDS = (
    Command("DMQ.NODES", nodes, 1, "readonly", "The nodes of the bus, as JSON."),
    Command("DMQ.TABLES", tables, 1, "readonly", "The tables, as JSON."),
    Command("DMQ.STATS", stats, 1, "readonly", "Figures of the node, as JSON."),
    Command("DMQ.MATCH", match, 4, "readonly", "Keys that match: regex|prefix|suffix|contains name|value."),
    Command("DMQ.REMOVE", remove, 4, "write", "Deletes what DMQ.MATCH finds."),
    Command("DMQ.CELL", cell, 2, "readonly fast", "Typed value and milliseconds left.", ONE_KEY),
    Command("DMQ.SCAN", scan, -2, "readonly", "Keys, typed values and milliseconds left, step by step."),
)
