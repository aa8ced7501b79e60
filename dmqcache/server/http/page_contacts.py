"""The status page's section of registrations, on a node that follows them (``--peer usrloc``)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from dmqcache.bus.peer import Peer
from dmqcache.peers.mirror import among
from dmqcache.peers.usrloc_peer import UsrlocPeer
from dmqcache.server.http.page_parts import MAX_ROWS, NONE, duration, number, section, side_by_side, text


def contacts(peers: Mapping[str, Peer], wall: float) -> str:
    """The contacts that were heard of first, and how many each registrar told. Empty on a node that does not
    follow them."""
    peer = among(peers, UsrlocPeer)
    if peer is None:
        return ""
    by_node = sorted(peer.by_node().items(), key=lambda pair: (-pair[1], pair[0]))
    nodes = [(text(node), number(count)) for node, count in by_node]
    columns = [("Node", False), ("Contacts", True)]
    figures = [
        (text("Addresses of record"), number(peer.aors())),
        (text("Registered since the start"), number(peer.registrations)),
        (text("Refreshed"), number(peer.refreshes)),
        (text("Removed by registrars"), number(peer.removals)),
        (text("Expired"), number(peer.counts.left)),
    ]
    return (
        f'<div id="contacts">{_list(peer, wall)}'
        + side_by_side(
            [
                section("Contacts by node", columns, nodes[:MAX_ROWS], "", len(nodes)),
                section("Registrations", [("", False), ("", True)], figures, "", len(figures)),
            ]
        )
        + "</div>"
    )


def _list(peer: UsrlocPeer, wall: float) -> str:
    lines = []
    for contact in islice(peer.each_contact(), MAX_ROWS):
        shown = contact.shown(wall)
        left = shown["expires_s"]
        lines.append(
            (
                text(contact.aor),
                text(contact.uri),
                "never" if left is None else duration(left),
                text(shown["user_agent"]) or NONE,
                text(contact.node) or NONE,
            )
        )
    columns = [("AoR", False), ("Contact", False), ("Expires in", True), ("User agent", False)]
    return section("Contacts", [*columns, ("Node", False)], lines, "None.", len(peer.records), stack=True)
