"""The calls of Kamailio nodes, mirrored: right at each step, given to who asks, and never meddled with."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dmqcache.peers import dialog_peer
from dmqcache.peers.dialog_call import ENDED_S, STALE_S
from dmqcache.peers.dialog_peer import OTHER_PROFILES, DialogPeer
from dmqcache.peers.dialog_wire import DialogAction, read_dialog
from tests.bus.virtual import kamailio
from tests.peers.recordings import DIALOG, bodies
from tests.peers.stage import HERE, Stage

LIFETIME_S = 1800


@pytest.fixture
def peer() -> DialogPeer:
    return DialogPeer()


@pytest.fixture
def stage(peer: DialogPeer) -> Stage:
    return Stage(peer)


def update(stage: Stage, number: int = 1, state: int = 1, **fields: Any) -> dict[str, Any]:
    """As a Kamailio says it of a call that begins now."""
    return {
        "action": 1,
        "h_entry": number,
        "h_id": 7,
        "init_ts": stage.wall,
        "callid": f"call{number}@phone",
        "from_uri": "sip:alice@example.com",
        "to_uri": f"sip:callee{number}@example.com",
        "req_uri": "sip:callee@192.0.2.7",
        "tag1": "a",
        "cseq1": "1",
        "route_set1": "",
        "contact1": "sip:alice@192.0.2.8",
        "state": state,
        "lifetime": LIFETIME_S,
    } | fields


def answered(stage: Stage) -> dict[str, Any]:
    """What is said of a call that is answered now."""
    legs = {"tag2": "b", "cseq2": "0", "route_set2": "", "contact2": "sip:bob@192.0.2.7"}
    return {"start_ts": stage.wall, "lifetime": LIFETIME_S, **legs}


def state(number: int, state: int, **fields: Any) -> dict[str, Any]:
    return {"action": 2, "h_entry": number, "h_id": 7, "state": state, **fields}


def remove(number: int = 1) -> dict[str, Any]:
    return {"action": 3, "h_entry": number, "h_id": 7, "state": 5}


def profiles(*names: str) -> str:
    return json.dumps({"profiles": [{"name": name, "puid": "p"} for name in names]})


def counted(peer: DialogPeer) -> dict[str, int]:
    return {word: count for word, count in peer.by_state().items() if count}


def test_a_call_is_right_at_each_step(stage: Stage, peer: DialogPeer) -> None:
    assert stage.say(update(stage)) == 200
    assert [(call.state, call.call_id) for call in peer.calls()] == [("calling", "call1@phone")]
    stage.say(state(1, 2, start_ts=0))
    assert counted(peer) == {"ringing": 1}
    stage.say(state(1, 4, **answered(stage)))
    assert counted(peer) == {"talking": 1}
    found = peer.call("call1@phone")
    assert found is not None and found.answered == found.began + 1
    stage.say(state(1, 5))
    assert (peer.calls(), peer.call("call1@phone"), counted(peer)) == ([], None, {"ended": 1})
    stage.say(remove())
    assert (counted(peer), len(peer.records)) == ({}, 0)
    assert (peer.setups, peer.answered) == (1, 1)
    assert dict(peer.counts.words) == {"update": 1, "state": 3, "remove": 1}


@pytest.mark.parametrize("release", DIALOG)
def test_what_a_kamailio_was_heard_to_say_is_followed(release: str) -> None:
    """Four calls, or two of 6.2: each answer is 200, and at the end those are left that were not ended."""
    peer = DialogPeer()
    for body in bodies(release, "dialog", "127.0.0.82"):
        word = read_dialog(body)
        # As they were said, at the time at which they were.
        peer.hear(body, now=float(word.fields.get("init_ts", 0) or 1_795_600_000))  # type: ignore[arg-type]
    left = {"ringing": 1, "talking": 1} if not release.startswith("6.2") else {"calling": 1}
    assert counted(peer) == left
    assert peer.by_profile()["caller"] == sum(left.values())
    assert not peer.counts.refused


def test_calls_are_found_by_a_part_of_their_names(stage: Stage, peer: DialogPeer) -> None:
    for number in range(3):
        stage.say(update(stage, number))
    assert [call.call_id for call in peer.calls("callee2@")] == ["call2@phone"]
    assert len(peer.calls("sip:alice@")) == 3
    assert len(peer.calls("call1@")) == 1
    assert peer.calls("nobody") == []


def test_profiles_have_sizes(stage: Stage, peer: DialogPeer) -> None:
    stage.say(update(stage, 1, profiles=profiles("trunk", "caller")))
    stage.say(update(stage, 2, profiles=profiles("trunk")))
    assert peer.by_profile() == {"trunk": 2, "caller": 1}
    stage.say(update(stage, 1, profiles=profiles("caller")))
    assert peer.by_profile() == {"trunk": 1, "caller": 1}
    stage.say(state(1, 5))
    stage.say(remove(2))
    assert peer.by_profile() == {}


def test_profiles_beyond_a_number_are_counted_as_one(
    stage: Stage, peer: DialogPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialog_peer, "MAX_PROFILE_NAMES", 2)
    for number in range(6):
        stage.say(update(stage, number, profiles=profiles(f"p{number}")))
    assert sum(peer.by_profile().values()) == 6
    assert peer.by_profile() == {"p0": 1, "p1": 1, OTHER_PROFILES: 4}
    # Names that are made of something of a call come and go: those that are there are counted by name.
    for number in range(5):
        stage.say(remove(number))
    assert peer.by_profile() == {"p5": 1}
    stage.say(update(stage, 7, profiles=profiles("trunk")))
    assert peer.by_profile() == {"p5": 1, "trunk": 1}
    stage.say(remove(5))
    stage.say(remove(7))
    assert peer.by_profile() == {}


def test_what_cannot_be_read_is_answered_400_and_counted(stage: Stage, peer: DialogPeer) -> None:
    assert stage.say(b"nonsense") == 400
    assert stage.say({"action": 9}) == 400
    assert stage.say(update(stage, vars={"n": 5})) == 400
    assert dict(peer.counts.refused) == {"malformed_json": 1, "unknown_action": 1, "wrong_type": 1}
    assert peer.calls() == []


def test_a_stranger_has_no_say(stage: Stage, peer: DialogPeer) -> None:
    stranger = kamailio(stage.cluster, "127.0.0.99")
    stranger.answer = lambda request: None
    stranger.request(HERE, "dialog", json.dumps(update(stage)).encode())
    stage.run(0.5)
    assert peer.calls() == []


def test_a_state_of_a_call_that_is_not_known_shows_none(stage: Stage, peer: DialogPeer) -> None:
    assert stage.say(state(1, 4)) == 200
    assert stage.say(remove(1)) == 200
    assert (len(peer.records), dict(peer.counts.refused)) == (0, {"unknown_call": 1})


def test_a_late_word_brings_no_call_back(stage: Stage, peer: DialogPeer) -> None:
    first = update(stage)
    stage.say(first)
    stage.say(remove())
    stage.say(first)
    assert (peer.calls(), peer.counts.refused["late"]) == ([], 1)
    # The number of its slot may be another call's at once.
    stage.say(update(stage, callid="other@phone"))
    assert [call.call_id for call in peer.calls()] == ["other@phone"]
    assert peer.setups == 2


def test_it_asks_who_comes_up_and_says_nothing_else_for_an_hour(stage: Stage, peer: DialogPeer) -> None:
    """Calls of every state whose removals never come: all that is said on the channel is one question."""
    assert stage.heard() == [{"action": 4}]
    stage.say(update(stage, 1))
    stage.say(update(stage, 2, 2))
    stage.say(update(stage, 3, 4, **answered(stage)))
    stage.say(update(stage, 4, 4, **answered(stage)))
    stage.say(state(4, 5))
    stage.run(3600)
    assert stage.heard() == []
    assert peer.calls() == []
    said = {data.split(b" ", 1)[0] for _, source, _, data in stage.cluster.net.log if source.host == HERE}
    assert said == {b"KDMQ", b"SIP/2.0"}


def test_a_call_that_nobody_removes_is_shown_as_stale_and_leaves(stage: Stage, peer: DialogPeer) -> None:
    said = update(stage, 3, 4, **answered(stage))
    stage.say(said)
    stage.run(LIFETIME_S - 60)
    assert counted(peer) == {"talking": 1}
    stage.run(70)
    assert (counted(peer), len(peer.calls())) == ({"stale": 1}, 1)
    stage.run(STALE_S)
    assert (counted(peer), peer.counts.left) == ({}, 1)
    stage.say(said)
    assert peer.calls() == []


def test_an_ended_call_whose_removal_is_missed_leaves(stage: Stage, peer: DialogPeer) -> None:
    stage.say(update(stage))
    stage.say(state(1, 5))
    stage.run(ENDED_S + 2)
    assert len(peer.records) == 0


def test_who_asks_gets_the_calls_that_there_are_and_nobody_else(stage: Stage, peer: DialogPeer) -> None:
    other = kamailio(stage.cluster, "127.0.0.13")
    other.request(HERE, body=b"sip:127.0.0.13:5060;status=active\r\n")
    stage.run(3)
    stage.say(update(stage, 1, iflags=4, vars={"tenant": "t1"}, zz="new in 7.0"))
    stage.say(update(stage, 2, 4, last_modified=stage.wall, **answered(stage)))
    stage.say(update(stage, 3))
    stage.say(state(3, 5))
    stage.heard(), other.requests.clear()
    stage.say({"action": 4})
    stage.run(2)
    first, second = stage.heard()
    assert "zz" not in first
    assert (first["callid"], first["vars"], first["iflags"]) == ("call1@phone", {"tenant": "t1"}, 4)
    assert (second["callid"], second["state"], second["tag2"]) == ("call2@phone", 4, "b")
    assert "last_modified" not in second, "a 5.6 complains of it"
    assert not [request for request in other.requests if b"dialog" in request.body or "dialog" in request.uri]
    assert peer.counts.given == 2


def test_a_kamailio_6_2_is_told_the_stamps(stage: Stage, peer: DialogPeer) -> None:
    stage.kamailio.server = "kamailio (6.2.0-dev1 (x86_64/linux))"
    # Its answer to a ping tells what it is.
    stage.run(10)
    stage.say(update(stage, 1, last_modified=stage.wall))
    stage.heard()
    stage.say({"action": 4})
    stage.run(2)
    assert [said["last_modified"] for said in stage.heard()] == [peer.calls()[0].fields["last_modified"]]


def test_a_thousand_calls_are_given_a_few_at_a_time(stage: Stage, peer: DialogPeer) -> None:
    for number in range(1000):
        peer.hear(json.dumps(update(stage, number)).encode(), stage.wall)
    stage.heard()
    stage.kamailio.request(HERE, "dialog", b'{"action":4}')
    stage.run(20)
    assert len({said["callid"] for said in stage.heard()}) == 1000
    assert peer.counts.given == 1000


def test_who_does_not_answer_is_told_no_more(stage: Stage, peer: DialogPeer) -> None:
    for number in range(100):
        peer.hear(json.dumps(update(stage, number)).encode(), stage.wall)
    stage.answers = False  # 404: it has no such channel.
    stage.heard()
    stage.kamailio.request(HERE, "dialog", b'{"action":4}')
    stage.run(20)
    assert (len(stage.heard()) <= 16, peer.counts.given) == (True, 0)


def test_two_dmqcache_nodes_tell_each_other_what_one_missed() -> None:
    first, second = DialogPeer(), DialogPeer()
    stage = Stage(first)
    stage.say(update(stage, 1, 4, **answered(stage)))
    bus = stage.cluster.add("127.0.0.14", HERE)
    bus.register_peer(second)
    stage.run(5)
    assert [call.fields for call in second.calls()] == [call.fields for call in first.calls()] != []
    assert second.setups == 0, "it did not begin now"


def test_every_recorded_update_is_given_back_as_it_was_said() -> None:
    for release in ("6.0.1", "6.1.5"):
        stage = Stage(DialogPeer())
        words = [(read_dialog(body), body) for body in bodies(release, "dialog", "127.0.0.82")]
        for word, body in words:
            if word.action is DialogAction.UPDATE and word.state < 5:
                assert word.key is not None
                peer = DialogPeer()
                peer.hear(body, now=float(json.loads(body)["init_ts"]))
                node = stage.bus.active_nodes()[0]
                assert peer.body_of(word.key, node, json.loads(body)["init_ts"]) == body
