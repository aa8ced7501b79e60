"""The status page's section of presence, on a node that follows it (``--peer presence``)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from dmqcache.bus.peer import Peer
from dmqcache.peers.mirror import among
from dmqcache.peers.presence_peer import PresencePeer
from dmqcache.server.http.page_parts import (
    MAX_ROWS,
    NONE,
    duration,
    number,
    pill,
    section,
    side_by_side,
    size,
    text,
)

_COLOURS: Mapping[str, str] = {"active": "ok", "pending": "warn", "waiting": "warn"}


def presence(peers: Mapping[str, Peer], wall: float) -> str:
    """What is published and who watches, those that were heard of first, and how many there are of each event
    package. Empty on a node that does not follow presence."""
    peer = among(peers, PresencePeer)
    if peer is None:
        return ""
    return (
        f'<div id="presence">{_publications(peer, wall)}{_subscriptions(peer, wall)}'
        + side_by_side(
            [
                _by_event("Publications", peer.by_event()),
                _by_event("Subscriptions", peer.subscriptions_by_event()),
            ]
        )
        + "</div>"
    )


def _publications(peer: PresencePeer, wall: float) -> str:
    lines = [
        (
            text(one.uri),
            text(one.event),
            duration(max(0.0, one.over_at - wall)),
            size(len(one.document.encode("utf-8", "surrogateescape"))) if one.document else NONE,
            text(one.etag),
        )
        for one in islice(peer.each_presentity(), MAX_ROWS)
    ]
    columns = [("Presentity", False), ("Event", False), ("Expires in", True), ("Document", True)]
    total = sum(peer.by_event().values())
    return section("Publications", [*columns, ("Entity tag", False)], lines, "None.", total, stack=True)


def _subscriptions(peer: PresencePeer, wall: float) -> str:
    lines = [
        (
            text(one.watcher),
            text(one.presentity),
            text(one.event),
            pill(_COLOURS.get(one.status, "idle"), text(one.status)),
            duration(max(0.0, one.over_at - wall)),
        )
        for one in islice(peer.each_subscription(), MAX_ROWS)
    ]
    columns = [("Watcher", False), ("Presentity", False), ("Event", False), ("Status", False)]
    total = sum(peer.subscriptions_by_event().values())
    empty = "None that a Kamailio has told of (6.1 does, with enable_subs_dmq)."
    return section("Subscriptions", [*columns, ("Expires in", True)], lines, empty, total, stack=True)


def _by_event(what: str, counted: Mapping[str, int]) -> str:
    """An event package may be named as one likes."""
    found = sorted(counted.items(), key=lambda pair: (-pair[1], pair[0]))
    lines = [(text(event), number(count)) for event, count in found[:MAX_ROWS]]
    return section(f"{what} by event", [("Event", False), (what, True)], lines, "None.", len(found))
