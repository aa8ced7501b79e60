"""Subscriptions as a Kamailio 6.1 was heard to tell them."""

from __future__ import annotations

from dmqcache.peers.presence_wire import PresenceAction, read_presence
from dmqcache.peers.subscription import Subscription
from tests.peers.recordings import bodies

WORDS = [read_presence(body) for body in bodies("6.1.5-subscriptions", "presence")]
TOLD = [Subscription(word.subscription) for word in WORDS if word.action is PresenceAction.SUBSCRIPTION]


def test_a_recorded_one_says_who_watches_whom_and_until_when() -> None:
    first, last = TOLD[0], TOLD[-1]
    assert (first.watcher, first.presentity, first.event) == (
        "sip:bob@example.com",
        "sip:alice@127.0.0.80",
        "presence",
    )
    assert (first.key.call_id, first.key.from_tag) == ("sub1@ua", "fsub1")
    assert len({told.key for told in TOLD}) == 1
    assert (first.status, first.over(first.over_at - 1), first.over(first.over_at)) == ("active", False, True)
    assert (last.status, last.over(0)) == ("terminated", True)


def test_each_word_has_a_higher_version_or_says_the_same_again() -> None:
    versions = [told.version for told in TOLD]
    assert versions == sorted(versions)


def test_it_is_shown_with_all_that_was_told() -> None:
    shown = TOLD[0].shown(TOLD[0].over_at - 30.5)
    assert (shown["expires_s"], shown["watcher"], shown["status"]) == (30, "sip:bob@example.com", "active")
    assert shown["fields"]["socket_info"] == "udp:127.0.0.80:5060"
    fields = dict(TOLD[0].fields)
    assert Subscription(fields | {"status": 9}).status == "active"
    del fields["status"]
    assert Subscription(fields).status == "active"
