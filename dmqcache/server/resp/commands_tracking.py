"""CLIENT TRACKING and what belongs to it: subcommands of CLIENT. Who is told what, is ``tracking.py``'s.

OPTIN, OPTOUT and NOLOOP are absent, and refused as such.
"""

from __future__ import annotations

from dmqcache.server.resp.command import Command, Options, parse_integer
from dmqcache.server.resp.reply import OK, CommandError, encode, integer, syntax_error
from dmqcache.server.resp.session import Session
from dmqcache.server.resp.tracking import MAX_PREFIXES


def _tracking(session: Session, args: list[str]) -> bytes:
    mode = args[2].upper()
    if mode not in ("ON", "OFF"):
        raise syntax_error()
    prefixes, everything, redirect = _options(session, args)
    tracking = session.shared.tracking
    if mode == "OFF":
        tracking.end(session)
        session.restrict()
        return OK
    if not session.resp3 and not redirect:
        raise CommandError(
            "ERR CLIENT TRACKING tells by messages beside the replies: HELLO 3 first, or REDIRECT"
        )
    if prefixes and not everything:
        raise CommandError("ERR PREFIX option requires BCAST mode to be enabled")
    was = session.tracked
    if was is not None and bool(was) != everything:
        raise CommandError(
            "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then "
            "re-enabling it with a different mode."
        )
    if len(was or ()) + len(prefixes) > MAX_PREFIXES:
        raise CommandError(f"ERR at most {MAX_PREFIXES} prefixes")
    _check_overlap(prefixes, was or ())
    new = prefixes or ([""] if everything and not was else [])
    wanted = (*(was or ()), *new)
    tracking.begin(session, wanted, redirect)
    session.restrict()
    return OK


def _options(session: Session, args: list[str]) -> tuple[list[str], bool, int]:
    prefixes: list[str] = []
    everything, redirect = False, 0
    options = Options(args, 3)
    for word in options:
        if word == "BCAST":
            everything = True
        elif word == "PREFIX":
            prefixes.append(options.value())
        elif word == "REDIRECT":
            value = options.value()
            if redirect:
                raise CommandError("ERR A client can only redirect to a single other client")
            redirect = parse_integer(value)
            if redirect not in session.shared.sessions:
                raise CommandError("ERR The client ID you want redirect to does not exist")
        elif word in ("OPTIN", "OPTOUT", "NOLOOP"):
            raise CommandError(f"ERR CLIENT TRACKING has no {word} here: BCAST, PREFIX, REDIRECT")
        else:
            raise syntax_error()
    return prefixes, everything, redirect


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


def _information(session: Session, args: list[str]) -> bytes:
    tracked = session.tracked
    flags = ["off"] if tracked is None else ["on", "bcast"] if tracked else ["on"]
    if session.redirect_broken:
        flags.append("broken_redirect")
    about = {
        "flags": flags,
        "redirect": -1 if tracked is None else session.redirect,
        "prefixes": list(tracked or ()),
    }
    return encode(about, session.resp3)


def _redirection(session: Session, args: list[str]) -> bytes:
    return integer(-1 if session.tracked is None else session.redirect)


SUBCOMMANDS = (
    Command("CLIENT|TRACKING", _tracking, -3, "", "ON or OFF: tells of changes of what is read."),
    Command("CLIENT|TRACKINGINFO", _information, 2, "", "Tells how this client tracks."),
    Command(
        "CLIENT|GETREDIR",
        _redirection,
        2,
        "",
        "Returns who is told in its place (0: itself; -1: nobody).",
    ),
)
