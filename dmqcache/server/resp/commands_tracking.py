"""CLIENT TRACKING and what belongs to it: subcommands of CLIENT. Who is told what, is ``tracking.py``'s."""

from __future__ import annotations

from dataclasses import dataclass, field

from dmqcache.server.resp.command import Command, Options, parse_integer
from dmqcache.server.resp.reply import OK, CommandError, bulk, encode, integer, syntax_error
from dmqcache.server.resp.session import Session
from dmqcache.server.resp.tracking import MAX_PREFIXES, Reads, Tracked

_OTHER_MODE = "before disabling tracking for this client, and then re-enabling it with a different mode."
_NO_TRACKING = (
    "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode "
    "enabled"
)


@dataclass(slots=True)
class _Wanted:
    """What a client says after CLIENT TRACKING ON."""

    prefixes: list[str] = field(default_factory=list)
    everything: bool = False
    redirect: int = 0
    reads: set[Reads] = field(default_factory=set)
    noloop: bool = False


def _tracking(session: Session, args: list[str]) -> bytes:
    wanted, mode = _options(session, args), args[2].upper()
    if mode == "ON":
        how = _checked(wanted, session.tracked)
        session.shared.tracking.begin(session, how)
    elif mode == "OFF":
        session.shared.tracking.end(session)
    else:
        raise syntax_error()
    session.restrict()
    return OK


def _options(session: Session, args: list[str]) -> _Wanted:
    wanted = _Wanted()
    options = Options(args, 3)
    for word in options:
        if word == "BCAST":
            wanted.everything = True
        elif word == "PREFIX":
            wanted.prefixes.append(options.value())
        elif word == "REDIRECT":
            value = options.value()
            if wanted.redirect:
                raise CommandError("ERR A client can only redirect to a single other client")
            wanted.redirect = parse_integer(value)
            if wanted.redirect not in session.shared.sessions:
                raise CommandError("ERR The client ID you want redirect to does not exist")
        elif word in ("OPTIN", "OPTOUT"):
            wanted.reads.add(Reads(word.lower()))
        elif word == "NOLOOP":
            wanted.noloop = True
        else:
            raise syntax_error()
    return wanted


def _checked(wanted: _Wanted, was: Tracked | None) -> Tracked:
    """How a client tracks from now on. CommandError, in Redis' words and order, where that is no way, or not
    one to change to."""
    if wanted.prefixes and not wanted.everything:
        raise CommandError("ERR PREFIX option requires BCAST mode to be enabled")
    if was is not None and bool(was.prefixes) != wanted.everything:
        raise CommandError(f"ERR You can't switch BCAST mode on/off {_OTHER_MODE}")
    if wanted.everything and wanted.reads:
        raise CommandError("ERR OPTIN and OPTOUT are not compatible with BCAST")
    if len(wanted.reads) > 1:
        raise CommandError("ERR You can't specify both OPTIN mode and OPTOUT mode")
    reads = next(iter(wanted.reads), Reads.ALL)
    if was is not None and Reads.ALL not in (reads, was.reads) and reads is not was.reads:
        raise CommandError(f"ERR You can't switch OPTIN/OPTOUT mode {_OTHER_MODE}")
    known = was.prefixes if was is not None else ()
    _check_overlap(wanted.prefixes, known)
    if wanted.everything and not wanted.prefixes and "" not in known:
        wanted.prefixes.append("")
    if len(known) + len(wanted.prefixes) > MAX_PREFIXES:
        raise CommandError(f"ERR at most {MAX_PREFIXES} prefixes")
    named = was is not None and was.named
    return Tracked((*known, *wanted.prefixes), wanted.redirect, reads, wanted.noloop, named)


def _check_overlap(prefixes: list[str], known: tuple[str, ...]) -> None:
    for place, one in enumerate(prefixes):
        later = prefixes[place + 1 :]
        for others, what in ((known, "an existing"), (later, "another provided")):
            for other in others:
                if one.startswith(other) or other.startswith(one):
                    raise CommandError(
                        f"ERR Prefix '{one}' overlaps with {what} prefix '{other}'. "
                        "Prefixes for a single client must not overlap."
                    )


def _caching(session: Session, args: list[str]) -> bytes:
    how, word = session.tracked, args[2].upper()
    if how is None:
        raise CommandError(_NO_TRACKING)
    wanted = {"YES": Reads.NAMED, "NO": Reads.NOT_NAMED}.get(word)
    if wanted is None:
        raise syntax_error()
    if how.reads is not wanted:
        mode = wanted.value.upper()
        raise CommandError(
            f"ERR CLIENT CACHING {word} is only valid when tracking is enabled in {mode} mode."
        )
    how.named = True
    return OK


def _information(session: Session, args: list[str]) -> bytes:
    how = session.tracked
    flags = _flags(how)
    words = (b"~%d\r\n" if session.resp3 else b"*%d\r\n") % len(flags) + b"".join(map(bulk, flags))
    about = {
        "flags": words,
        "redirect": -1 if how is None else how.redirect,
        "prefixes": sorted(how.prefixes) if how is not None else [],
    }
    return encode(about, session.resp3)


def _flags(how: Tracked | None) -> list[str]:
    if how is None:
        return ["off"]
    flags = ["on"]
    if how.prefixes:
        flags.append("bcast")
    if how.reads is not Reads.ALL:
        flags.append(how.reads.value)
        if how.named:
            flags.append("caching-yes" if how.reads is Reads.NAMED else "caching-no")
    if how.noloop:
        flags.append("noloop")
    if how.broken:
        flags.append("broken_redirect")
    return flags


def _redirection(session: Session, args: list[str]) -> bytes:
    return integer(-1 if session.tracked is None else session.tracked.redirect)


SUBCOMMANDS = (
    Command("CLIENT|TRACKING", _tracking, -3, "", "ON or OFF: tells of changes of what is read."),
    Command("CLIENT|TRACKINGINFO", _information, 2, "", "Tells how this client tracks."),
    Command("CLIENT|CACHING", _caching, 3, "", "YES or NO: whether the next reads are tracked."),
    Command(
        "CLIENT|GETREDIR",
        _redirection,
        2,
        "",
        "Returns who is told in its place (0: itself; -1: nobody).",
    ),
)
