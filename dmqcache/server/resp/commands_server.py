"""Commands about the server: INFO, WAIT, ROLE, MEMORY. Settings: ``commands_config.py``."""

from __future__ import annotations

from sys import getsizeof
from typing import Final

from dmqcache.server.resp.command import Command, Options, container, parse_integer
from dmqcache.server.resp.info import REDIS_VERSION, sections
from dmqcache.server.resp.reply import CommandError, bulk, encode, integer, null, syntax_error, verbatim
from dmqcache.server.resp.session import Answer, Session

#: A cell with its places in dictionaries and in the order of keys, beside its key and value.
CELL_BYTES: Final = 250


def info(session: Session, args: list[str]) -> bytes:
    wanted = {word.lower() for word in args[1:]}
    everything = not wanted or wanted & {"all", "default", "everything"}
    parts = []
    for title, section in sections(session.shared).items():
        if everything or title.lower() in wanted:
            lines = "".join(f"{name}:{value}\r\n" for name, value in section.items())
            parts.append(f"# {title}\r\n{lines}")
    return verbatim("\r\n".join(parts), session.resp3)


def lolwut(session: Session, args: list[str]) -> bytes:
    return bulk(f"dmqcache, a table that every node holds. Redis ver. {REDIS_VERSION}\n")


async def _wait(session: Session, nodes: int, timeout: float | None) -> bytes:
    try:
        return integer(await session.shared.node.wait_replicated(nodes, timeout))
    finally:
        session.timed_out = None


def wait(session: Session, args: list[str]) -> Answer:
    """WAIT NODES MILLISECONDS: how many other nodes have acknowledged all writes made here so far."""
    nodes, milliseconds = parse_integer(args[1]), parse_integer(args[2], "timeout")
    if milliseconds < 0:
        raise CommandError("ERR timeout is negative")
    if session.executing or nodes <= 0:
        return integer(session.shared.node.acknowledged())
    session.timed_out = lambda: integer(session.shared.node.acknowledged())
    return _wait(session, nodes, milliseconds / 1000 if milliseconds else None)


async def _wait_on_disk(session: Session, timeout: float | None) -> bytes:
    try:
        return encode([int(await session.shared.node.wait_on_disk(timeout)), 0], session.resp3)
    finally:
        session.timed_out = None


def waitaof(session: Session, args: list[str]) -> Answer:
    """WAITAOF LOCAL NODES MILLISECONDS: whether all writes made here so far are on this node's disk. Other
    nodes say nothing of theirs, so of them it is always 0."""
    local, nodes = parse_integer(args[1]), parse_integer(args[2])
    milliseconds = parse_integer(args[3], "timeout")
    if not 0 <= local <= 1 or nodes < 0:
        raise CommandError("ERR value is out of range, must be positive")
    if milliseconds < 0:
        raise CommandError("ERR timeout is negative")
    if local and session.shared.node.disk is None:
        raise CommandError("ERR WAITAOF cannot be used when numlocal is set but the node has no data_dir.")
    if session.executing or session.shared.node.disk is None:
        return encode([0, 0], session.resp3)
    session.timed_out = lambda: encode([0, 0], session.resp3)
    return _wait_on_disk(session, milliseconds / 1000 if milliseconds else None)


def role(session: Session, args: list[str]) -> bytes:
    """A master without replicas: to a client every node is one."""
    return encode(["master", 0, []], session.resp3)


def lastsave(session: Session, args: list[str]) -> bytes:
    """When this node's tables were last whole on its disk; without one, or before: when it began."""
    shared = session.shared
    started = int(shared.wall() - (shared.clock() - shared.started))
    flushed = 0 if shared.node.disk is None else int(shared.node.disk.flushed_at)
    return integer(max(started, flushed))


def _usage(session: Session, args: list[str]) -> bytes:
    """About what a key takes in this process."""
    for word in (options := Options(args, 3)):
        if word != "SAMPLES" or not options.has_more() or options.integer() < 0:
            raise syntax_error()
    cell = session.table.live_cell(args[2])
    if cell is None:
        return null(session.resp3)
    return integer(CELL_BYTES + getsizeof(cell.key) + getsizeof(cell.value))


COMMANDS = (
    Command("INFO", info, -1, "", "Returns figures of the node, by section."),
    Command("LOLWUT", lolwut, -1, "readonly fast", "Says what this is."),
    Command("LASTSAVE", lastsave, 1, "admin fast", "Returns the Unix time of what is on disk."),
    Command("ROLE", role, 1, "fast", "Returns master."),
    container(
        "MEMORY",
        "Tells of memory.",
        (Command("MEMORY|USAGE", _usage, -3, "readonly", "About what a key takes.", (2, 2, 1)),),
    ),
    Command("WAIT", wait, 3, "blocking", "Waits until other nodes have acknowledged the writes."),
    Command("WAITAOF", waitaof, 4, "blocking", "Waits until the writes are on this node's disk."),
)
