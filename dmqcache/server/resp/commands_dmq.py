"""Our own commands: what Redis has no word for. The node's, tables' and statistics' rows are JSON text,
for the command line; keys and values, which may be any bytes, are RESP."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import msgspec

from dmqcache.peers.dialog_peer import DialogPeer
from dmqcache.peers.mirror import among
from dmqcache.peers.presence_peer import PresencePeer
from dmqcache.peers.presentity import Presentity
from dmqcache.peers.subscription import Subscription
from dmqcache.peers.usrloc_peer import UsrlocPeer
from dmqcache.server.resp.command import ONE_KEY, Command, Options
from dmqcache.server.resp.commands_scan import Walk
from dmqcache.server.resp.info import node_rows, sections, table_rows
from dmqcache.server.resp.long_reply import Parts
from dmqcache.server.resp.reply import (
    NULL_3,
    OK,
    CommandError,
    bulk,
    encode,
    integer,
    null,
    syntax_error,
    wrong_arity,
)
from dmqcache.server.resp.session import Answer, Session
from dmqcache.server.resp.steps import STEP_CHANGES, Steps, in_steps, key_steps
from dmqcache.store.table.cell import NEVER, Cell
from dmqcache.store.table.changes import Change
from dmqcache.store.table.patterns import MatchKind, MatchOn, compile_pattern
from dmqcache.store.table.table import Table

#: Cells that one DMQ.SCAN returns when the client names no COUNT.
SCAN_CELLS = 1000
#: Prefixes and tables that one client watches at once.
MAX_WATCHES = 100


def _json(value: Any) -> bytes:
    data = msgspec.json.encode(value)
    return b"$%d\r\n%b\r\n" % (len(data), data)


def nodes(session: Session, args: list[str]) -> bytes:
    return _json(node_rows(session.shared))


def tables(session: Session, args: list[str]) -> bytes:
    """DMQ.TABLES: those that the user may touch."""
    return _json([row for row in table_rows(session.shared) if session.user.has_table(str(row["table"]))])


def stats(session: Session, args: list[str]) -> bytes:
    return _json({title.lower(): section for title, section in sections(session.shared).items()})


def calls(session: Session, args: list[str]) -> Answer:
    """DMQ.CALLS [TEXT]: the calls of the Kamailio nodes, each as a JSON object."""
    text = _text(args)
    peer = among(session.shared.node.peers, DialogPeer)
    if peer is None:
        raise CommandError("ERR this node does not follow calls: it runs without --peer dialog")
    return in_steps(session, _rows(session, peer.each_call(), lambda call: call.has(text)))


def presentities(session: Session, args: list[str]) -> Answer:
    """DMQ.PRESENTITIES [TEXT]: what is published on the Kamailio nodes, each as a JSON object."""
    return _of_presence(session, _text(args), Presentity)


def watchers(session: Session, args: list[str]) -> Answer:
    """DMQ.WATCHERS [TEXT]: the subscriptions to it, each as a JSON object."""
    return _of_presence(session, _text(args), Subscription)


def _of_presence(session: Session, text: str, kind: type[Presentity | Subscription]) -> Answer:
    peer = among(session.shared.node.peers, PresencePeer)
    if peer is None:
        raise CommandError("ERR this node does not follow presence: it runs without --peer presence")

    def fits(record: Any) -> bool:
        return isinstance(record, kind) and record.has(text)

    return in_steps(session, _rows(session, peer.each_record(), fits))


def _text(args: list[str]) -> str:
    if len(args) > 2:
        raise wrong_arity(args[0])
    return args[1] if len(args) > 1 else ""


def contacts(session: Session, args: list[str]) -> Answer:
    """DMQ.CONTACTS [AOR]: the contacts of all registrars, or of one address of record, each as a JSON
    object."""
    if len(args) > 2:
        raise wrong_arity("dmq.contacts")
    peer = among(session.shared.node.peers, UsrlocPeer)
    if peer is None:
        raise CommandError("ERR this node does not follow registrations: it runs without --peer usrloc")
    return in_steps(session, _rows(session, peer.each_contact(args[1] if len(args) > 1 else "")))


class _Shown(Protocol):
    """A record of a mirror."""

    def shown(self, now: float) -> dict[str, Any]: ...


def _rows(
    session: Session, records: Iterator[_Shown], fits: Callable[[Any], bool] = lambda record: True
) -> Steps:
    parts = Parts()
    for record in records:
        if fits(record):
            parts.add(bulk(json.dumps(record.shown(session.shared.wall()))))
        yield
    yield
    return parts.reply(b"*%d\r\n" % parts.count)


def _pattern(args: list[str]) -> tuple[MatchKind, str, MatchOn]:
    try:
        return MatchKind(args[1].lower()), args[3], MatchOn(args[2].lower())
    except ValueError:
        kinds, places = "|".join(MatchKind), "|".join(MatchOn)
        raise CommandError(f"ERR {args[0].upper()} takes {kinds} {places} PATTERN") from None


def match(session: Session, args: list[str]) -> Answer:
    return in_steps(session, _match(session.table, *_pattern(args)))


def _match(table: Table, kind: MatchKind, pattern: str, on: MatchOn) -> Steps:
    matches = compile_pattern(kind, pattern, strict=True)
    parts = Parts()
    for some in key_steps(table):
        _ = None if on is MatchOn.NAME else (yield from table.readied(some))
        found = _matching(table, some, matches, on)
        parts.add(b"".join(map(bulk, found)), len(found))
        yield
    return parts.reply(b"*%d\r\n" % parts.count)


def remove(session: Session, args: list[str]) -> Answer:
    return in_steps(session, _remove(session.table, *_pattern(args)))


def _remove(table: Table, kind: MatchKind, pattern: str, on: MatchOn) -> Steps:
    matches = compile_pattern(kind, pattern, strict=True)
    count = 0
    for some in key_steps(table, count=STEP_CHANGES):
        count += sum(map(table.delete, _matching(table, some, matches, on)))
        yield
    return integer(count)


def _matching(table: Table, keys: list[str], matches: Callable[[str], bool], on: MatchOn) -> list[str]:
    """Those of the keys that match, by name or by value. As in Kamailio, integers never match."""
    if on is MatchOn.NAME:
        return [key for key in keys if matches(key)]
    cells = map(table.live_cell, keys)
    return [cell.key for cell in cells if cell and isinstance(cell.value, str) and matches(cell.value)]


def _typed(table: Table, cell: Cell) -> list[Any]:
    """Value (an integer stays one) and milliseconds left, -1 for ever."""
    left = -1 if cell.expires == NEVER else max(0, round((cell.expires - table.clock.now()) * 1000))
    return [cell.value, left]


def cell(session: Session, args: list[str]) -> bytes:
    # Through ``get``: it is a read of a client's, a hit or a miss.
    found = session.table.live_cell(args[1]) if session.table.get(args[1]) is not None else None
    return null(session.resp3) if found is None else encode(_typed(session.table, found), session.resp3)


def scan(session: Session, args: list[str]) -> Answer:
    prefix, count, begin = "", SCAN_CELLS, None
    options = Options(args, 2)
    for word in options:
        if word == "PREFIX":
            prefix = options.value()
        elif word == "AFTER":
            begin = options.value()
        elif word == "COUNT":
            count = options.integer()
            if count < 1:
                raise syntax_error()
        else:
            raise syntax_error()
    return in_steps(session, _scan(session, Walk(session, args[1], prefix, count, begin)))


def _scan(session: Session, walk: Walk) -> Steps:
    table, resp3 = session.table, session.resp3
    parts = Parts()
    for some in walk:
        _ = yield from table.readied(some)
        # Not ``get``: to list is no use of the cache.
        cells = [cell for cell in map(table.live_cell, some) if cell is not None]
        shown = (encode(part, resp3) for cell in cells for part in (cell.key, *_typed(table, cell)))
        parts.add(b"".join(shown), 3 * len(cells))
        yield
    return parts.reply(b"*2\r\n%b*%d\r\n" % (bulk(str(walk.cursor)), parts.count))


def watch(session: Session, args: list[str]) -> bytes:
    """DMQ.WATCH [PREFIX]: from now on the changes of the selected table, as messages ``change``, key, value
    (null: gone). Of a key that changes often the latest value is told."""
    if len(args) > 2:
        raise wrong_arity("dmq.watch")
    if not session.resp3:
        raise CommandError("ERR DMQ.WATCH tells by messages beside the replies: HELLO 3 first")
    prefix = args[1] if len(args) > 1 else ""
    name = f"watch {session.table_name} {prefix}"
    if name not in session.forgets and len(session.forgets) >= MAX_WATCHES:
        raise CommandError(f"ERR at most {MAX_WATCHES} watches")

    def changed(change: Change) -> None:
        value = NULL_3 if change.value is None else encode(change.value, True)
        session.push(b">3\r\n$6\r\nchange\r\n%b%b" % (bulk(change.key), value))

    if name not in session.forgets:
        session.forgets[name] = session.table.subscribe(changed, prefix)
    return OK


COMMANDS = (
    Command("DMQ.WATCH", watch, -1, "readonly", "Tells the changes of a table from now on (RESP3)."),
    Command("DMQ.NODES", nodes, 1, "readonly", "The nodes of the bus, as JSON."),
    Command("DMQ.CALLS", calls, -1, "readonly", "The calls of the Kamailio nodes, each as JSON."),
    Command("DMQ.CONTACTS", contacts, -1, "readonly", "The contacts of the registrars, each as JSON."),
    Command("DMQ.PRESENTITIES", presentities, -1, "readonly", "What is published there, each as JSON."),
    Command("DMQ.WATCHERS", watchers, -1, "readonly", "Who is subscribed to it, each as JSON."),
    Command("DMQ.TABLES", tables, 1, "readonly", "The tables, as JSON."),
    Command("DMQ.STATS", stats, 1, "readonly", "Figures of the node, as JSON."),
    Command("DMQ.MATCH", match, 4, "readonly", "Keys that match: regex|prefix|suffix|contains name|value."),
    Command("DMQ.REMOVE", remove, 4, "write", "Deletes what DMQ.MATCH finds."),
    Command("DMQ.CELL", cell, 2, "readonly fast", "Typed value and milliseconds left.", ONE_KEY),
    Command("DMQ.SCAN", scan, -2, "readonly", "Keys, typed values and milliseconds left, step by step."),
)
