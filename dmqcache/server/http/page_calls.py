"""The status page's section of calls, on a node that follows them (``--peer dialog``)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from dmqcache.bus.peer import Peer
from dmqcache.peers.dialog_peer import DialogPeer
from dmqcache.peers.mirror import among
from dmqcache.server.http.page_parts import (
    MAX_ROWS,
    NONE,
    duration,
    number,
    pill,
    section,
    side_by_side,
    text,
)

_COLOURS: Mapping[str, str] = {"talking": "ok", "answered": "ok", "ringing": "warn", "calling": "warn"}


def calls(peers: Mapping[str, Peer], wall: float) -> str:
    """How many calls are in which state and profile, and the calls that were heard of first. Empty on a node
    that does not follow them."""
    peer = among(peers, DialogPeer)
    if peer is None:
        return ""
    states = [(_state(word), number(count)) for word, count in peer.by_state().items() if word != "ended"]
    sizes = sorted(peer.by_profile().items(), key=lambda pair: (-pair[1], pair[0]))
    profiles = [(text(name), number(size)) for name, size in sizes]
    return (
        f'<div id="calls">{_list(peer, wall)}'
        + side_by_side(
            [
                section("Calls by state", [("State", False), ("Calls", True)], states, "", len(states)),
                section(
                    "Calls by profile",
                    [("Profile", False), ("Calls", True)],
                    profiles[:MAX_ROWS],
                    "No call is in a profile.",
                    len(profiles),
                ),
            ]
        )
        + "</div>"
    )


def _list(peer: DialogPeer, wall: float) -> str:
    lines = []
    for call in islice(peer.each_call(), MAX_ROWS):
        shown = call.shown(wall)
        lines.append(
            (
                text(call.from_uri),
                text(call.to_uri),
                _state(shown["state"]),
                duration(shown["age_s"]),
                text(", ".join(shown["profiles"])) or NONE,
                text(call.call_id),
            )
        )
    columns = [("From", False), ("To", False), ("State", False), ("Age", True), ("Profiles", False)]
    total = sum(count for word, count in peer.by_state().items() if word != "ended")
    return section("Calls", [*columns, ("Call-ID", False)], lines, "None.", total, stack=True)


def _state(word: str) -> str:
    return pill(_COLOURS.get(word, "idle"), text(word))
