"""MONITOR, SLOWLOG, LATENCY: what clients say, what of it took long, and when."""

from __future__ import annotations

from dmqcache.server.resp.command import Command, container, parse_integer
from dmqcache.server.resp.latency_report import graph, report
from dmqcache.server.resp.reply import OK, CommandError, encode, integer, verbatim
from dmqcache.server.resp.session import Session

#: Entries that SLOWLOG GET returns when the client names no number.
DEFAULT_ENTRIES = 10


def monitor(session: Session, args: list[str]) -> bytes:
    """From now on every command is told to this client. Asked once more, Redis says nothing."""
    if session.executing:
        raise CommandError("ERR MONITOR isn't allowed for DENY BLOCKING client")
    monitors, number = session.shared.monitors, session.id
    if number in monitors.clients:
        return b""
    monitors.add(number)
    session.forgets["monitor"] = lambda: monitors.remove(number)
    return OK


def _get(session: Session, args: list[str]) -> bytes:
    if len(args) > 3:
        raise CommandError(
            f"ERR unknown subcommand or wrong number of arguments for '{args[1][:128]}'. Try SLOWLOG HELP."
        )
    log = session.shared.slow_log
    try:
        most = parse_integer(args[2]) if len(args) == 3 else DEFAULT_ENTRIES
    except CommandError:
        most = -2
    if most < -1:
        raise CommandError("ERR count should be greater than or equal to -1")
    return encode(log.newest(len(log) if most == -1 else most), session.resp3)


def _length(session: Session, args: list[str]) -> bytes:
    return integer(len(session.shared.slow_log))


def _reset(session: Session, args: list[str]) -> bytes:
    session.shared.slow_log.reset()
    return OK


def _latest(session: Session, args: list[str]) -> bytes:
    return encode(session.shared.latency.latest(), session.resp3)


def _history(session: Session, args: list[str]) -> bytes:
    return encode(session.shared.latency.history(args[2]), session.resp3)


def _graph(session: Session, args: list[str]) -> bytes:
    latency, kind = session.shared.latency, args[2]
    samples = latency.history(kind)
    if not samples:
        raise CommandError(f"ERR No samples available for event '{kind}'")
    drawn = graph(kind, samples, latency.longest(kind), int(session.shared.wall()))
    return verbatim(drawn, session.resp3)


def _doctor(session: Session, args: list[str]) -> bytes:
    shared = session.shared
    said = report(shared.latency, shared.slow_log.slower_than, int(shared.wall()))
    return verbatim(said, session.resp3)


def _forget(session: Session, args: list[str]) -> bytes:
    return integer(session.shared.latency.reset(args[2:]))


COMMANDS = (
    Command("MONITOR", monitor, 1, "admin", "Tells every command that clients of this node say."),
    container(
        "SLOWLOG",
        "Tells which commands took long.",
        (
            Command("SLOWLOG|GET", _get, -2, "admin", "Returns the newest entries, 10 or so many."),
            Command("SLOWLOG|LEN", _length, 2, "admin", "Returns how many there are."),
            Command("SLOWLOG|RESET", _reset, 2, "admin", "Forgets them."),
        ),
    ),
    container(
        "LATENCY",
        "Tells when commands took long.",
        (
            Command("LATENCY|DOCTOR", _doctor, 2, "admin", "Says what took long, how often, and what to do."),
            Command("LATENCY|GRAPH", _graph, 3, "admin", "Draws the moments of a kind."),
            Command("LATENCY|HISTORY", _history, 3, "admin", "Returns the moments of a kind."),
            Command("LATENCY|LATEST", _latest, 2, "admin", "Returns the last moment of each kind."),
            Command("LATENCY|RESET", _forget, -2, "admin", "Forgets some kinds, or all."),
        ),
    ),
)
