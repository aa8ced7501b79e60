"""Commands about the server: INFO, WAIT, ROLE. Settings: ``commands_config.py``."""

from __future__ import annotations

from dmqcache.server.resp.command import Command, parse_integer
from dmqcache.server.resp.info import REDIS_VERSION, sections
from dmqcache.server.resp.reply import CommandError, bulk, encode, integer, verbatim
from dmqcache.server.resp.session import Answer, Session


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


COMMANDS = (
    Command("INFO", info, -1, "", "Returns figures of the node, by section."),
    Command("LOLWUT", lolwut, -1, "readonly fast", "Says what this is."),
    Command("LASTSAVE", lastsave, 1, "admin fast", "Returns the Unix time of what is on disk."),
    Command("ROLE", role, 1, "fast", "Returns master."),
    Command("WAIT", wait, 3, "blocking", "Waits until other nodes have acknowledged the writes."),
    Command("WAITAOF", waitaof, 4, "blocking", "Waits until the writes are on this node's disk."),
)
