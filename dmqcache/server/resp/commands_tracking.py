"""CLIENT TRACKING and what belongs to it: subcommands of CLIENT. Who is told what, is ``tracking.py``'s.

REDIRECT (for RESP2), OPTIN, OPTOUT and NOLOOP are absent, and refused as such.
"""

from __future__ import annotations

from dmqcache.server.resp.command import Command, Options
from dmqcache.server.resp.reply import OK, CommandError, encode, integer, syntax_error
from dmqcache.server.resp.session import Session
from dmqcache.server.resp.tracking import MAX_PREFIXES


def _tracking(session: Session, args: list[str]) -> bytes:
    mode = args[2].upper()
    if mode not in ("ON", "OFF"):
        raise syntax_error()
    prefixes, everything = _options(args)
    tracking = session.shared.tracking
    if mode == "OFF":
        tracking.end(session)
        session.restrict()
        return OK
    if not session.resp3:
        raise CommandError("ERR CLIENT TRACKING tells by messages beside the replies: HELLO 3 first")
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
    tracking.begin(session, wanted)
    session.restrict()
    return OK


def _options(args: list[str]) -> tuple[list[str], bool]:
    prefixes: list[str] = []
    everything = False
    options = Options(args, 3)
    for word in options:
        if word == "BCAST":
            everything = True
        elif word == "PREFIX":
            prefixes.append(options.value())
        elif word in ("REDIRECT", "OPTIN", "OPTOUT", "NOLOOP"):
            raise CommandError(f"ERR CLIENT TRACKING has no {word} here: BCAST, PREFIX or the default mode")
        else:
            raise syntax_error()
    return prefixes, everything


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
    about = {
        "flags": flags,
        "redirect": -1 if tracked is None else 0,
        "prefixes": list(tracked or ()),
    }
    return encode(about, session.resp3)


def _redirection(session: Session, args: list[str]) -> bytes:
    return integer(-1 if session.tracked is None else 0)


SUBCOMMANDS = (
    Command("CLIENT|TRACKING", _tracking, -3, "", "ON or OFF: tells of changes of what is read (RESP3)."),
    Command("CLIENT|TRACKINGINFO", _information, 2, "", "Tells how this client tracks."),
    Command("CLIENT|GETREDIR", _redirection, 2, "", "Returns 0 where it tracks, else -1."),
)
