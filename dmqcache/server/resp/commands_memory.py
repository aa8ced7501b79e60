"""MEMORY: what a key takes, what the node takes, and whether somebody must look at it."""

from __future__ import annotations

from dmqcache.server.resp.command import Command, Options, container
from dmqcache.server.resp.memory_figures import memory_stats
from dmqcache.server.resp.reply import encode, integer, null, syntax_error, verbatim
from dmqcache.server.resp.session import Session
from dmqcache.store.table.evicting import taken_by
from dmqcache.store.table.use import peek


def _usage(session: Session, args: list[str]) -> bytes:
    """What a cell is counted with against a bound: all of them together are ``used_memory_cells``."""
    for word in (options := Options(args, 3)):
        if word != "SAMPLES" or not options.has_more() or options.integer() < 0:
            raise syntax_error()
    cell = peek(session.table, args[2])
    return null(session.resp3) if cell is None else integer(taken_by(session.table.as_shown(cell)))


def _stats(session: Session, args: list[str]) -> bytes:
    return encode(memory_stats(session.shared), session.resp3)


def _doctor(session: Session, args: list[str]) -> bytes:
    """In words, as the status page says it."""
    node = session.shared.node
    said = [node.memory.words] if node.memory.words else []
    said += [
        f"{name} lacks cells that were evicted on this node, {table.counters.evictions} so far"
        for name, table in node.tables.items()
        if table.partial
    ]
    if not said:
        bound = f"may take {node.memory.limit}" if node.memory.limit else "have no bound (max_memory)"
        said = [f"nothing is wrong: cells take {node.memory.used} bytes and {bound}"]
    if node.memory.remembered:
        said.append(f"remembered deletes take {node.memory.remembered} bytes, which do not count")
    return verbatim("; ".join(said) + ".\n", session.resp3)


COMMANDS = (
    container(
        "MEMORY",
        "Tells of memory.",
        (
            Command("MEMORY|DOCTOR", _doctor, 2, "", "Says in words what is wrong."),
            Command("MEMORY|STATS", _stats, 2, "", "Returns what the node takes, by kind."),
            Command("MEMORY|USAGE", _usage, -3, "readonly", "What a key is counted with.", (2, 2, 1)),
        ),
    ),
)
