"""What mirrors export, read as Prometheus reads it."""

from __future__ import annotations

from dmqcache.peers.dialog_peer import DialogPeer
from dmqcache.peers.presence_peer import PresencePeer
from dmqcache.peers.usrloc_peer import UsrlocPeer
from tests.metrics.scrape import text_of, values
from tests.peers.recordings import bodies
from tests.server.served import ServedNode

#: About when the recorded calls were made: Unix time.
THEN = 1_795_736_600.0
#: And the contacts registered.
THEN_REGISTERED = 1_795_687_400.0


def test_a_node_without_such_peers_exports_nothing_of_them() -> None:
    text = text_of(ServedNode())
    assert not [line for line in text.splitlines() if line.startswith(("dmqcache_calls", "dmqcache_mirror"))]


def test_calls_by_state_and_profile_and_their_setups() -> None:
    node, peer = ServedNode(), DialogPeer()
    node.peers = {"dialog": peer}
    for body in bodies("5.6.3", "dialog", "127.0.0.82"):
        peer.hear(body, THEN)
    found = values(node)
    assert found["dmqcache_calls", ("talking",)] == 1
    assert found["dmqcache_calls", ("ringing",)] == 1
    assert found["dmqcache_calls", ("stale",)] == 0
    assert found["dmqcache_calls_in_profile", ("caller",)] == 2
    assert found["dmqcache_call_setups_total", ()] == 4
    assert found["dmqcache_call_answers_total", ()] == 2
    assert found["dmqcache_mirror_words_total", ("dialog", "remove")] == 2
    assert found["dmqcache_mirror_given_total", ("dialog",)] == 0
    assert found["dmqcache_mirror_left_total", ("dialog",)] == 0


def test_publications_by_event_and_what_was_refused() -> None:
    node, peer = ServedNode(), PresencePeer()
    node.peers = {"presence": peer}
    for body in bodies("6.1.5", "presence"):
        peer.hear(body, THEN)
    peer.counts.refused["wrong_type"] += 1
    subscribed = next(body for body in bodies("6.1.5-subscriptions", "presence") if b'"action":3' in body)
    peer.hear(subscribed, THEN)
    found = values(node)
    assert found["dmqcache_presentities", ("presence",)] == 1
    assert found["dmqcache_presence_subscriptions", ("presence",)] == 1
    assert found["dmqcache_mirror_words_total", ("presence", "presentity")] == 5
    assert found["dmqcache_mirror_refused_total", ("presence", "wrong_type")] == 1


def test_contacts_by_node_and_what_became_of_them() -> None:
    node, peer = ServedNode(), UsrlocPeer()
    node.peers = {"usrloc": peer}
    for body in bodies("6.2+5.6", "usrloc"):
        peer.hear(body, THEN_REGISTERED)
    found = values(node)
    contacts = sum(number for (name, _), number in found.items() if name == "dmqcache_contacts")
    assert contacts == len(peer.contacts()) > 0
    assert found["dmqcache_aors", ()] == peer.aors()
    assert found["dmqcache_contact_changes_total", ("registered",)] == peer.registrations > 0
    assert found["dmqcache_contact_changes_total", ("removed",)] == peer.removals > 0
    assert found["dmqcache_mirror_bytes", ("usrloc",)] > 1000
    assert found["dmqcache_mirror_words_total", ("usrloc", "sync")] == 5
