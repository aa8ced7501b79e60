"""Commands about the server: INFO, CONFIG, WAIT and what else is asked of it."""

from __future__ import annotations

from dmqcache.server.resp.command import Command, container, parse_integer
from dmqcache.server.resp.globs import compile_glob
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


#: Patterns that one command may bring.
MAX_NAMES = 1000

#: Settings that clients and benchmarks ask for; what they tell is how this server is.
_CONFIG = {
    "save": "",
    "appendonly": "no",
    "maxmemory": "0",
    "maxmemory-policy": "noeviction",
    "timeout": "0",
}


def _config_get(session: Session, args: list[str]) -> bytes:
    if len(args) > MAX_NAMES:
        raise CommandError(f"ERR at most {MAX_NAMES} patterns at once")
    known = _CONFIG | {"databases": str(len(session.shared.node.tables)), "port": str(session.shared.port)}
    found: dict[str, str] = {}
    for asked in args[2:]:
        if asked.lower() in known:
            found[asked] = known[asked.lower()]  # in the asked case, as Redis does
        else:
            matches = compile_glob(asked.lower())
            found |= {name: known[name] for name in known if matches(name)}
    return encode(found, session.resp3)


def lolwut(session: Session, args: list[str]) -> bytes:
    return bulk(f"dmqcache, a table that every node holds. Redis ver. {REDIS_VERSION}\n")


async def _wait(session: Session, nodes: int, timeout: float | None) -> bytes:
    return integer(await session.shared.node.wait_replicated(nodes, timeout))


def wait(session: Session, args: list[str]) -> Answer:
    """WAIT NODES MILLISECONDS: how many other nodes have acknowledged all writes made here so far."""
    nodes, milliseconds = parse_integer(args[1]), parse_integer(args[2], "timeout")
    if milliseconds < 0:
        raise CommandError("ERR timeout is negative")
    if session.executing or nodes <= 0:
        return integer(session.shared.node.acknowledged())
    return _wait(session, nodes, milliseconds / 1000 if milliseconds else None)


COMMANDS = (
    Command("INFO", info, -1, "", "Returns figures of the node, by section."),
    container(
        "CONFIG",
        "Reads settings.",
        (Command("CONFIG|GET", _config_get, -3, "admin", "Returns settings by name or pattern."),),
    ),
    Command("LOLWUT", lolwut, -1, "readonly fast", "Says what this is."),
    Command("WAIT", wait, 3, "blocking", "Waits until other nodes have acknowledged the writes."),
)
