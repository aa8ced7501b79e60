"""What is published on Kamailio nodes, mirrored, and given to who asks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dmqcache.peers import records
from dmqcache.peers.presence_peer import PresencePeer
from dmqcache.peers.presence_wire import read_presence
from tests.peers.recordings import PRESENCE, PRESENCE_IN_MEMORY, bodies
from tests.peers.stage import Stage


@pytest.fixture
def peer() -> PresencePeer:
    return PresencePeer()


@pytest.fixture
def stage(peer: PresencePeer) -> Stage:
    return Stage(peer)


def publish(stage: Stage, user: str = "alice", expires: int = 600, **fields: Any) -> dict[str, Any]:
    presentity = {
        "domain": "example.com",
        "user": user,
        "etag": f"e-{user}",
        "expires": expires,
        "recv": stage.wall,
        "event": "presence",
    }
    said = {"action": 1, "presentity": presentity, "t_new": 1, "cur_etag": "", "ruid": f"r-{user}"}
    return said | {"body": f"<presence>{user}</presence>"} | fields


@pytest.mark.parametrize("release", [*PRESENCE, *PRESENCE_IN_MEMORY])
def test_what_a_kamailio_was_heard_to_say_is_followed(release: str, peer: PresencePeer) -> None:
    for body in bodies(release, "presence"):
        word = read_presence(body)
        peer.hear(body, now=float(word.presentity.get("recv", 0)))  # type: ignore[arg-type]
    assert [found.uri for found in peer.presentities()] == ["sip:carol@127.0.0.80"]
    assert "open" in peer.presentities()[0].document
    assert peer.by_event() == {"presence": 1}
    assert peer.counts.words["presentity"] >= 5
    assert set(peer.counts.refused) <= {"late"} and peer.subscriptions() == []


def subscription(stage: Stage) -> dict[str, Any]:
    """As a 6.1 tells it, for ten minutes from now."""
    said = next(body for body in bodies("6.1.5-subscriptions", "presence") if b'"action":3' in body)
    fields: dict[str, Any] = json.loads(said)["subscription"]
    return fields | {"expires": stage.wall + 600}


def test_subscriptions_are_followed_and_given_to_who_speaks_of_them(stage: Stage, peer: PresencePeer) -> None:
    fields = subscription(stage)
    stage.say(publish(stage))
    peer.hear(json.dumps({"action": 3, "subscription": fields}).encode(), stage.wall)
    peer._speak_of_subscriptions.clear()
    stage.heard()
    stage.say({"action": 2})
    stage.run(2)
    assert [told["action"] for told in stage.heard()] == [1], "a 6.0 would answer 400"
    stage.say({"action": 4})
    stage.run(2)
    first, second = sorted(stage.heard(), key=lambda told: int(told["action"]))
    assert (first["action"], second) == (1, {"action": 3, "subscription": fields})
    assert [found.watcher for found in peer.subscriptions("alice@")] == ["sip:bob@example.com"]
    assert (peer.subscriptions("nobody"), peer.subscriptions_by_event()) == ([], {"presence": 1})
    assert len(peer.presentities()) == 1


def test_who_watches_is_told_before_what_is_published_and_that_when_it_was_taken(
    stage: Stage, peer: PresencePeer
) -> None:
    """Its workers take what comes at once in any order, and tell those watchers that they know by then."""
    stage.say(publish(stage))
    peer.hear(json.dumps({"action": 3, "subscription": subscription(stage)}).encode(), stage.wall)
    answer = stage.kamailio.answer
    stage.kamailio.answer = lambda request: None if b'"action":3' in request.body else answer(request)
    stage.heard()
    stage.say({"action": 4})
    stage.run(3)
    assert {told["action"] for told in stage.heard()} == {3}
    stage.kamailio.answer = answer
    stage.run(5)
    assert {told["action"] for told in stage.heard()} == {1, 3}
    assert peer.counts.given == 2


def test_a_late_word_brings_no_subscription_back(stage: Stage, peer: PresencePeer) -> None:
    fields = subscription(stage)

    def tell(version: int, **changed: int) -> int:
        stage.say({"action": 3, "subscription": fields | {"version": version} | changed})
        return len(peer.subscriptions())

    assert [tell(2), tell(1), tell(2)] == [1, 1, 1]
    assert peer.subscriptions()[0].version == 2
    assert [tell(3, expires=0, status=3), tell(2), tell(3)] == [0, 0, 0]
    assert peer.counts.refused["late"] == 3
    assert tell(4) == 1
    stage.run(700)
    assert (peer.subscriptions(), peer.counts.left) == ([], 1)


def test_words_that_overtake_each_other_leave_one_publication(stage: Stage, peer: PresencePeer) -> None:
    first = publish(stage)
    stage.run(2)
    second = publish(stage, t_new=0, cur_etag="e2")
    stage.run(2)
    third = publish(stage, t_new=0, cur_etag="e3")
    third["presentity"] |= {"etag": "e2"}
    for said in (first, third, second, first):
        stage.say(said)
    assert [found.etag for found in peer.presentities()] == ["e3"]


def test_what_has_no_document_is_not_given(stage: Stage, peer: PresencePeer) -> None:
    stage.say(publish(stage, t_new=0, cur_etag="e2", body=""))
    assert [found.document for found in peer.presentities()] == [""]
    stage.heard()
    stage.say({"action": 2})
    stage.run(2)
    assert stage.heard() == []


def test_it_asks_once_and_says_nothing_else_for_an_hour(stage: Stage, peer: PresencePeer) -> None:
    assert stage.heard() == [{"action": 2}, {"action": 4}]
    stage.say(publish(stage))
    stage.say(publish(stage, "bob", 3000))
    stage.run(1200)
    assert [found.uri for found in peer.presentities()] == ["sip:bob@example.com"]
    stage.run(2400)
    assert (peer.presentities(), peer.counts.left, stage.heard()) == ([], 2, [])


def test_publications_are_found_by_a_part_of_their_names(stage: Stage, peer: PresencePeer) -> None:
    stage.say(publish(stage))
    stage.say(publish(stage, "bob"))
    assert [found.uri for found in peer.presentities("bob@")] == ["sip:bob@example.com"]
    assert peer.presentities("carol") == []


def test_a_late_word_brings_no_publication_back(stage: Stage, peer: PresencePeer) -> None:
    early = publish(stage)
    stage.say(early)
    stage.run(5)
    stage.say(publish(stage, expires=0))
    stage.say(early)
    assert (peer.presentities(), dict(peer.counts.refused)) == ([], {"late": 1})
    stage.run(5)
    stage.say(publish(stage))
    assert len(peer.presentities()) == 1


def test_who_asks_gets_what_has_not_expired(stage: Stage, peer: PresencePeer) -> None:
    stage.say(publish(stage))
    stage.say(publish(stage, "bob"))
    stage.say(publish(stage, "bob", expires=0))
    stage.heard()
    stage.run(100)
    stage.say({"action": 2})
    stage.run(2)
    (told,) = stage.heard()
    assert (told["action"], told["presentity"]["user"], told["t_new"]) == (1, "alice", 1)
    assert told["body"] == "<presence>alice</presence>"
    assert told["presentity"]["recv"] + told["presentity"]["expires"] in range(
        peer.presentities()[0].over_at - 1, peer.presentities()[0].over_at + 1
    )
    assert 490 <= told["presentity"]["expires"] <= 500
    assert peer.counts.given == 1


def test_what_no_kamailio_says_is_answered_and_changes_nothing(stage: Stage, peer: PresencePeer) -> None:
    stage.heard()
    assert stage.say({"action": 4}) == 200
    assert [stage.say({"action": number}) for number in (3, 5)] == [400, 400]
    assert (peer.presentities(), stage.heard()) == ([], [])


def test_what_has_expired_is_listed_no_more_though_it_has_not_left_yet(
    stage: Stage, peer: PresencePeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "SWEPT", 0)
    stage.say(publish(stage, expires=5))
    stage.say(publish(stage, "bob", expires=60))
    stage.say({"action": 3, "subscription": subscription(stage) | {"expires": stage.wall + 5}})
    assert len(list(peer.each_record())) == 3
    stage.run(10)
    assert len(peer.records) == 3
    assert [found.uri for found in peer.presentities()] == ["sip:bob@example.com"]
    assert peer.subscriptions() == []
