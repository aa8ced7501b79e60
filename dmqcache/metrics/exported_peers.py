"""What the peers that mirror Kamailio's channels export: calls, publications, contacts, and what was said.

Rows as in ``exported.py``, which has them among its own. A node without such a peer has none of their series.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar

from dmqcache.metrics.export import Export
from dmqcache.metrics.reading import Reading, Samples
from dmqcache.peers.dialog_peer import DialogPeer
from dmqcache.peers.mirror import Mirror, among
from dmqcache.peers.presence_peer import PresencePeer
from dmqcache.peers.usrloc_peer import UsrlocPeer

M = TypeVar("M", bound=Mirror[Any, Any])


def _mirrors(reading: Reading) -> Iterator[Mirror[Any, Any]]:
    peers = reading.node.peers.values()
    return (peer for peer in peers if isinstance(peer, Mirror))


def _each(number: Callable[[Mirror[Any, Any]], float]) -> Callable[[Reading], Samples]:
    """One sample for each mirrored channel."""
    return lambda reading: [((mirror.channel,), number(mirror)) for mirror in _mirrors(reading)]


def _of(kind: type[M], samples: Callable[[M], Samples]) -> Callable[[Reading], Samples]:
    """What a node's mirror of this kind has to say; nothing where there is none."""

    def read(reading: Reading) -> Samples:
        peer = among(reading.node.peers, kind)
        return [] if peer is None else samples(peer)

    return read


def _by(name_counts: Mapping[str, int]) -> Samples:
    """A sample for each name."""
    return [((name,), count) for name, count in name_counts.items()]


PEER_EXPORTS: Final[tuple[Export, ...]] = (
    Export(
        "dmqcache_presence_subscriptions",
        "gauge",
        "Subscriptions to presentities of the Kamailio nodes that have not expired.",
        ("event",),
        _of(PresencePeer, lambda peer: _by(peer.subscriptions_by_event())),
    ),
    Export(
        "dmqcache_calls",
        "gauge",
        "Calls of the Kamailio nodes; stale: nobody has removed them in time.",
        ("state",),
        _of(DialogPeer, lambda peer: _by(peer.by_state())),
    ),
    Export(
        "dmqcache_calls_in_profile",
        "gauge",
        "Calls in a profile of module dialog, over all of its values; 100 profiles by name.",
        ("profile",),
        _of(DialogPeer, lambda peer: _by(peer.by_profile())),
    ),
    Export(
        "dmqcache_call_setups",
        "counter",
        "Calls that began.",
        (),
        _of(DialogPeer, lambda peer: [((), peer.setups)]),
    ),
    Export(
        "dmqcache_call_answers",
        "counter",
        "Calls that were answered.",
        (),
        _of(DialogPeer, lambda peer: [((), peer.answered)]),
    ),
    Export(
        "dmqcache_presentities",
        "gauge",
        "What is published on the Kamailio nodes and has not expired.",
        ("event",),
        _of(PresencePeer, lambda peer: _by(peer.by_event())),
    ),
    Export(
        "dmqcache_contacts",
        "gauge",
        "Contacts of the registrars that have not expired, by the node that told them last.",
        ("node",),
        _of(UsrlocPeer, lambda peer: _by(peer.by_node())),
    ),
    Export(
        "dmqcache_aors",
        "gauge",
        "Addresses of record that have a contact.",
        (),
        _of(UsrlocPeer, lambda peer: [((), peer.aors())]),
    ),
    Export(
        "dmqcache_contact_changes",
        "counter",
        "Contacts that were registered, refreshed, removed, and told again to who had missed it.",
        ("change",),
        _of(
            UsrlocPeer,
            lambda peer: [
                (("registered",), peer.registrations),
                (("refreshed",), peer.refreshes),
                (("removed",), peer.removals),
                (("told_again",), peer.told_again),
            ],
        ),
    ),
    Export(
        "dmqcache_mirror_bytes",
        "gauge",
        "Memory that what is mirrored takes, about.",
        ("channel",),
        _each(lambda mirror: mirror.records.bytes),
    ),
    Export(
        "dmqcache_mirror_words",
        "counter",
        "What was said on a channel that is mirrored, by its action.",
        ("channel", "action"),
        lambda r: [
            ((mirror.channel, action), count)
            for mirror in _mirrors(r)
            for action, count in mirror.counts.words.items()
        ],
    ),
    Export(
        "dmqcache_mirror_refused",
        "counter",
        "What was said there and could not be used, by reason.",
        ("channel", "reason"),
        lambda r: [
            ((mirror.channel, reason), count)
            for mirror in _mirrors(r)
            for reason, count in mirror.counts.refused.items()
        ],
    ),
    Export(
        "dmqcache_mirror_given",
        "counter",
        "What was given back to nodes that had asked for everything.",
        ("channel",),
        _each(lambda mirror: mirror.counts.given),
    ),
    Export(
        "dmqcache_mirror_left",
        "counter",
        "What left because its time was over and nobody had removed it.",
        ("channel",),
        _each(lambda mirror: mirror.counts.left),
    ),
)
