"""The contacts of registrars, mirrored, and given to who asks."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from dmqcache.bus.node import OWN_TAG
from dmqcache.peers import records, usrloc_peer
from dmqcache.peers.contact import Contact
from dmqcache.peers.mirror import MAX_GIVEN_BYTES
from dmqcache.peers.usrloc_peer import UsrlocPeer
from dmqcache.peers.usrloc_wire import MAX_BATCH
from tests.peers.recordings import USRLOC, bodies
from tests.peers.stage import THERE, Stage


@pytest.fixture
def peer() -> UsrlocPeer:
    return UsrlocPeer()


@pytest.fixture
def stage(peer: UsrlocPeer) -> Stage:
    return Stage(peer)


def contact(stage: Stage, user: str = "alice", seconds: int = 600, **fields: Any) -> dict[str, Any]:
    said = {
        "action": 1,
        "aor": user,
        "ruid": f"u-{user}",
        "c": f"sip:{user}@192.0.2.9",
        "received": "",
        "path": "",
        "callid": f"{user}@192.0.2.9",
        "user_agent": "Phone",
        "instance": "",
        "expires": stage.wall + seconds,
        "cseq": 1,
        "last_modified": stage.wall,
    }
    return said | fields


def test_it_asks_and_once_more_and_tells_only_what_a_registrar_said_for_an_hour(
    stage: Stage, peer: UsrlocPeer
) -> None:
    assert stage.heard() == [{"action": 3}]
    said = [contact(stage), contact(stage, "bob", 3000), contact(stage, "carol", 0, expires=0)]
    assert [stage.say(one) for one in said] == [200] * 3
    stage.run(1200)
    assert [found.aor for found in peer.contacts()] == ["bob", "carol"]
    # Asked once more, it shows nothing: it was restarted.
    asked, given = stage.heard()
    assert (asked, list(given["multi"].values())) == ({"action": 3}, said)
    stage.run(2400)
    assert ([found.aor for found in peer.contacts()], peer.counts.left, stage.heard()) == (["carol"], 2, [])


@pytest.mark.parametrize(("release", "left"), [("6.2+5.6", {"bob", "dave"}), ("6.2.0-dev1", set())])
def test_what_registrars_were_heard_to_say_is_followed(
    release: str, left: set[str], peer: UsrlocPeer
) -> None:
    for body in bodies(release, "usrloc"):
        peer.hear(body, 1_795_687_400.0)
    assert release in USRLOC
    assert not peer.counts.refused["wrong_type"]
    assert peer.registrations > peer.removals > 0
    assert peer.aors() == len({found.aor for found in peer.contacts()})


def test_contacts_of_one_address_of_record(stage: Stage, peer: UsrlocPeer) -> None:
    stage.say(contact(stage))
    stage.say(contact(stage, ruid="u-2", c="sip:alice@192.0.2.10"))
    stage.say(contact(stage, "bob"))
    assert [found.uri for found in peer.contacts("alice")] == ["sip:alice@192.0.2.9", "sip:alice@192.0.2.10"]
    assert peer.contacts("ali") == []
    assert (peer.aors(), peer.by_node()) == (2, {f"sip:{THERE}:5060": 3})
    stage.say(contact(stage) | {"action": 2})
    assert [found.uri for found in peer.contacts("alice")] == ["sip:alice@192.0.2.10"]
    stage.say(contact(stage, ruid="u-2") | {"action": 2})
    assert peer.contacts("alice") == [] and peer.aors() == 1


def test_on_a_channel_of_another_name_everything_is_said_and_heard_there() -> None:
    peer = UsrlocPeer("registrations")
    stage = Stage(peer)
    assert stage.heard() == [{"action": 3}]
    assert stage.say(contact(stage)) == 200
    stage.say({"action": 3})
    stage.run(2)
    (told,) = stage.heard()
    assert told["multi"]["1"]["aor"] == "alice"
    assert (peer.channel, len(peer.contacts())) == ("registrations", 1)


def test_late_words_change_nothing(stage: Stage, peer: UsrlocPeer, monkeypatch: pytest.MonkeyPatch) -> None:
    as_of_6_2(monkeypatch)
    first = contact(stage)
    stage.run(5)
    refreshed = contact(stage, cseq=2)
    stage.say(refreshed)
    assert stage.say(first) == 200 and peer.contacts()[0].fields["cseq"] == 2
    stage.say(first | {"action": 2})
    assert peer.contacts()[0].fields["cseq"] == 2 and peer.counts.refused["late"] == 1
    stage.say(refreshed | {"action": 2})
    assert (peer.contacts(), peer.removals) == ([], 1)
    for late in (first, refreshed):
        stage.say(late)
        assert peer.contacts() == []
    stage.run(5)
    stage.say(contact(stage, cseq=3))
    assert peer.contacts()[0].fields["cseq"] == 3
    stage.say(contact(stage, "old", -5))
    assert peer.contacts("old") == []


@pytest.mark.parametrize("counts", [True, False])
def test_before_6_2_the_last_word_to_arrive_counts_whatever_its_clock_says(
    stage: Stage, peer: UsrlocPeer, counts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not counts:
        as_of_6_2(monkeypatch)
    stage.run(10)  # The Kamailio has been looked at.
    said = contact(stage)
    stage.say(said)
    behind = {"last_modified": stage.wall - 10}
    stage.say(said | behind | {"cseq": 2})
    assert (peer.contacts()[0].fields["cseq"] == 2) == counts
    stage.say(said | {"last_modified": stage.wall - 11, "action": 2})
    assert (peer.contacts() == []) == counts


def test_which_releases_count_what_comes_last() -> None:
    last = [f"kamailio ({version} (x86_64/linux))" for version in ("5.6.3", "5.8.0", "6.0.1", "6.1.5")]
    assert all(map(usrloc_peer._COUNTS_ARRIVAL.match, last))
    dated = [
        "kamailio (6.2.0-dev1 (x86_64/linux))",
        "kamailio (6.10.0 (x86_64/linux))",
        "dmqcache (0.1.0)",
        "",
    ]
    assert not any(map(usrloc_peer._COUNTS_ARRIVAL.match, dated))


def as_of_6_2(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Kamailio orders words by their times."""
    monkeypatch.setattr(usrloc_peer, "_COUNTS_ARRIVAL", re.compile("nobody"))


def test_who_asks_gets_everything_that_lives(stage: Stage, peer: UsrlocPeer) -> None:
    stage.run(10)  # The Kamailio has been looked at.
    said = [contact(stage, f"user{number}") for number in range(400)]
    for one in said:
        peer.hear(json.dumps(one).encode(), stage.wall)
    stage.say(contact(stage, "gone", 3))
    stage.run(5)
    stage.heard()
    assert stage.say({"action": 3}) == 200
    stage.run(5)
    batches = [body["multi"] for body in stage.heard()]
    assert [one for batch in batches for one in batch.values()] == said
    assert max(map(len, batches)) <= 150
    assert peer.counts.given == 400


@pytest.mark.parametrize(("agent", "told"), [("5.6.3", False), ("5.8.0", True), ("6.1.5", True)])
def test_xavps_go_to_who_knows_them(stage: Stage, peer: UsrlocPeer, agent: str, told: bool) -> None:
    stage.say(contact(stage, xavps={"ulattrs": {"limit": 5, "tags": {"a": 1}}}))
    node = next(node for node in stage.bus.list_nodes() if not node.local)
    node.user_agent = f"kamailio ({agent} (x86_64/linux))"
    (body,) = peer.bodies(node)
    found = json.loads(body)
    assert ("multi" not in found) == told
    assert ("xavps" in json.dumps(found)) == told


@pytest.mark.parametrize(
    ("agent", "later", "kept"),
    [("5.6.3", 0, True), ("5.6.3", 9, True), ("6.1.5", 0, True), ("6.1.5", 9, False)],
)
@pytest.mark.parametrize("none", [{}, {"xavps": {}}])
def test_who_cannot_say_xavps_has_not_removed_them_nor_who_has_the_contact_from_him(
    stage: Stage, peer: UsrlocPeer, agent: str, later: int, kept: bool, none: dict[str, Any]
) -> None:
    said = contact(stage)
    peer.hear(json.dumps(said | {"xavps": {"ulattrs": {"limit": 5}}}).encode(), stage.wall)
    node = next(node for node in stage.bus.list_nodes() if not node.local)
    node.user_agent = f"kamailio ({agent} (x86_64/linux))"
    peer._sender = node
    again = said | {"last_modified": said["last_modified"] + later} | none
    peer.hear(json.dumps(again).encode(), stage.wall)
    assert bool(peer.contacts()[0].fields.get("xavps")) == kept


def test_a_stranger_and_nonsense_are_refused_and_counted(
    stage: Stage, peer: UsrlocPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stage.say(b"nonsense") == 400
    assert stage.say({"action": 9}) == 400
    assert stage.say({}) == 200
    monkeypatch.setattr(records, "MAX_RECORDS", 1)
    stage.say(contact(stage))
    assert stage.say(contact(stage, "bob")) == 500
    assert dict(peer.counts.refused) == {"malformed_json": 1, "unknown_action": 1, "full": 1}


def test_what_is_too_long_to_give_is_left_out_and_counted(stage: Stage, peer: UsrlocPeer) -> None:
    peer.hear(json.dumps(contact(stage, path="p" * MAX_GIVEN_BYTES)).encode(), stage.wall)
    node = next(node for node in stage.bus.list_nodes() if not node.local)
    assert list(peer.bodies(node)) == []
    assert peer.counts.refused["too_large_to_give"] == 1


def test_who_listens_hears_each_change(stage: Stage, peer: UsrlocPeer) -> None:
    heard: list[tuple[str, str]] = []

    def listen(before: Contact | None, after: Contact | None) -> None:
        heard.append((before.aor if before else "", after.aor if after else ""))

    forget = peer.listen(listen)
    stage.say(contact(stage))
    stage.say(contact(stage, cseq=2))
    stage.say(contact(stage, cseq=2) | {"action": 2})
    forget()
    stage.say(contact(stage, "bob"))
    assert heard == [("", "alice"), ("alice", "alice"), ("alice", "")]
    forget()


def test_a_last_word_whose_time_is_over_ends_the_contact(stage: Stage, peer: UsrlocPeer) -> None:
    """It was on its way for long: this process stood still."""
    said = contact(stage, seconds=0, expires=0)
    stage.say(said)
    stage.say(said | {"cseq": 2, "expires": stage.wall - 5})
    assert peer.contacts() == []
    stage.run(5)
    assert len(peer.records) == 0


def test_a_removal_counts_by_its_arrival_while_its_registrar_is_looked_at_too(
    stage: Stage, peer: UsrlocPeer
) -> None:
    said = contact(stage)
    peer.hear(json.dumps(said).encode(), stage.wall)
    assert stage.bus.list_nodes() and peer._healing.looks_at(stage.bus.list_nodes()[-1].uri)
    stage.say(said | {"action": 2, "last_modified": stage.wall - 10})
    assert peer.contacts() == []
    # What others had of it later is not a new registration either.
    stage.say(said)
    assert peer.contacts() == []


def test_another_node_of_ours_is_told_what_was_removed_and_remembers_it(
    stage: Stage, peer: UsrlocPeer
) -> None:
    kept, gone, nameless = contact(stage), contact(stage, "bob"), contact(stage, "carol", ruid="")
    for one in (kept, gone, nameless):
        stage.say(one)
    for one in (gone, nameless):
        stage.say(one | {"action": 2})
    node = next(node for node in stage.bus.list_nodes() if not node.local)
    assert len(list(peer.bodies(node))) == 1
    node.supported = frozenset({OWN_TAG})
    other = UsrlocPeer()
    for body in peer.bodies(node):
        other.hear(body, stage.wall)
    assert [found.aor for found in other.contacts()] == ["alice"]
    for one in (gone, nameless):
        other.hear(json.dumps(one).encode(), stage.wall)
    assert len(other.contacts()) == 1
    remembered = [(key, identity) for key, identity, _ in other.records.remembered()]
    assert remembered == [(key, identity) for key, identity, _ in peer.records.remembered()]


def test_many_with_xavps_are_looked_at_a_few_at_a_time(
    stage: Stage, peer: UsrlocPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1000):
        said = contact(stage, f"u{number}", **({"xavps": {"a": {"b": 1}}} if number % 200 else {}))
        peer.hear(json.dumps(said).encode(), stage.wall)
    looked: list[str] = []
    find = UsrlocPeer.contact
    monkeypatch.setattr(UsrlocPeer, "contact", lambda peer, key: looked.append(key) or find(peer, key))
    node = next(iter(stage.bus.list_nodes()))
    node.user_agent = "kamailio (6.1.0 (x86_64/linux))"
    giving = peer.bodies(node)
    given = [next(giving)]
    assert len(looked) <= MAX_BATCH + 2
    given += giving
    told = [body for body in map(json.loads, given) if "multi" not in body]
    batched = [one for body in map(json.loads, given) if "multi" in body for one in body["multi"].values()]
    assert (len(told), len(batched)) == (995, 5)
    assert len({one["aor"] for one in told + batched}) == 1000
