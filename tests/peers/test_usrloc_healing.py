"""Registrars that were cut off: what each is told, and what is followed, once it is back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dmqcache.bus.node import Node, Trouble
from dmqcache.peers import usrloc_healing
from dmqcache.peers.usrloc_crossing import CROSSING_S
from dmqcache.peers.usrloc_healing import UsrlocHealing
from dmqcache.peers.usrloc_peer import UsrlocPeer
from tests.bus.virtual import kamailio
from tests.peers.stage import HERE, THERE, Stage
from tests.peers.test_usrloc_peer import contact

OTHER = "127.0.0.13"


class Cut(Stage):
    """A node, a registrar at THERE that answers questions with ``holds``, and another at OTHER."""

    def __init__(self) -> None:
        self.contacts = UsrlocPeer()
        super().__init__(self.contacts)
        self.other = kamailio(self.cluster, OTHER)
        self.other.request(HERE, body=f"sip:{OTHER}:5060;status=active\r\n".encode())
        self.run(10)
        self.holds: list[dict[str, Any]] = []
        #: How the Call-IDs begin in which it answers; empty: not as a Kamailio's.
        self.call_id = ""

    @property
    def registrar(self) -> Node:
        return next(node for node in self.bus.list_nodes() if node.uri.host == THERE)

    def comes_back(self, seconds: float = 20) -> list[dict[str, Any]]:
        """It was lost and is found again, and shows what it holds when it is asked; what it was told."""
        self.contacts.on_node_down(self.registrar)
        self.heard()
        self.other.requests.clear()
        self.contacts.on_node_up(self.registrar)
        told, waited = [], 0.0
        while waited < seconds:
            self.run(0.25)
            waited += 0.25
            for body in self.heard():
                if body == {"action": 3}:
                    for number, one in enumerate(self.holds):
                        call_id = self.call_id and f"{self.call_id}{number:03x}-7@{THERE}"
                        self.kamailio.request(HERE, "usrloc", _json(one), call_id=call_id)
                else:
                    told += list(body["multi"].values()) if "multi" in body else [body]
        return told

    def others_heard(self) -> list[dict[str, Any]]:
        return [_read(request.body) for request in self.other.requests if "usrloc@" in request.uri]


def _json(said: dict[str, Any]) -> bytes:
    return json.dumps(said).encode()


def _read(body: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(body)
    return found


def from_other(cut: Cut, said: dict[str, Any]) -> None:
    cut.other.request(HERE, "usrloc", _json(said))
    cut.run(0.5)


@pytest.fixture
def cut() -> Cut:
    return Cut()


def test_what_it_lacks_and_what_it_has_of_before_it_is_told(cut: Cut) -> None:
    alice, old = contact(cut), contact(cut, "bob")
    from_other(cut, alice)
    cut.run(5)
    bob = contact(cut, "bob", cseq=2)
    from_other(cut, bob)
    cut.holds = [old, contact(cut, "carol")]
    assert cut.comes_back() == [alice, bob]
    assert [found.aor for found in cut.contacts.contacts()] == ["alice", "bob", "carol"]
    assert cut.contacts.told_again == 3  # Carol to the other one.


def test_who_holds_the_same_is_told_nothing(cut: Cut) -> None:
    said = contact(cut)
    cut.say(said)
    cut.holds = [said]
    assert (cut.comes_back(), cut.contacts.told_again) == ([], 0)


def test_what_was_removed_elsewhere_is_removed_there_too_and_does_not_come_back(cut: Cut) -> None:
    said = contact(cut)
    cut.say(said)
    from_other(cut, said | {"action": 2})
    cut.holds = [said]
    assert cut.comes_back() == [said | {"action": 2}]
    assert cut.contacts.contacts() == []


def test_of_a_removal_its_time_alone_is_kept_and_told_with_what_the_registrar_shows(cut: Cut) -> None:
    said = contact(cut, path="p" * 5000)
    cut.say(said)
    cut.run(5)
    from_other(cut, said | {"action": 2, "last_modified": said["last_modified"] + 3})
    assert cut.contacts.records.removed("u-alice") == said["last_modified"] + 3
    assert cut.contacts.records.bytes == 0
    cut.holds = [said | {"xavps": {"a": {"b": 1}}}]
    assert cut.comes_back() == [said | {"action": 2, "last_modified": said["last_modified"] + 3}]


def test_a_removal_that_is_too_long_is_not_told_and_counted(cut: Cut) -> None:
    said = contact(cut, path="p" * 40_000)
    cut.say(said)
    from_other(cut, said | {"action": 2})
    cut.holds = [said]
    assert cut.comes_back() == []
    assert cut.contacts.counts.refused["too_large_to_give"] == 1


def test_what_it_removed_while_nobody_heard_it_is_followed_and_told_to_all_others(cut: Cut) -> None:
    cut.say(contact(cut))
    said = contact(cut, "bob")
    cut.say(said)
    cut.holds = [said]
    assert cut.comes_back() == []
    assert [found.aor for found in cut.contacts.contacts()] == ["bob"]
    (told,) = cut.others_heard()
    assert (told["action"], told["aor"]) == (2, "alice")
    assert cut.contacts.removals == 1


def test_what_it_shows_at_the_second_look_was_not_removed(cut: Cut, monkeypatch: pytest.MonkeyPatch) -> None:
    said, other = contact(cut), contact(cut, "bob")
    for one in (said, other):
        cut.say(one)
    cut.holds = [other]
    looks = []

    def answer() -> None:
        looks.append(1)
        if len(looks) == 2:
            cut.holds = [said, other]

    def asked(peer: UsrlocPeer, node: Node, ask: Any = UsrlocPeer.ask) -> None:
        answer()
        ask(peer, node)

    monkeypatch.setattr(UsrlocPeer, "ask", asked)
    assert cut.comes_back() == []
    assert len(looks) == 2 and len(cut.contacts.contacts()) == 2


def test_who_was_restarted_has_removed_nothing_and_gets_all(cut: Cut) -> None:
    said = contact(cut)
    cut.say(said)
    cut.other.requests.clear()
    cut.contacts.on_node_down(cut.registrar)
    cut.heard()
    cut.contacts.on_node_up(cut.registrar)
    cut.say({"action": 3})
    cut.run(20)
    told = [body for body in cut.heard() if "multi" in body]
    # And once more, as it shows nothing when it is asked after that: another may have told it older words.
    assert [list(body["multi"].values()) for body in told] == [[said], [said]]
    assert len(cut.contacts.contacts()) == 1 and cut.others_heard() == []


def test_what_was_removed_there_stays_so_though_another_release_shows_it_in_other_words(cut: Cut) -> None:
    """Both were cut off. A 6.x tells a 5.6's contact with empty ``xavps``: it does not become its own."""
    kept, removed = contact(cut, "kept"), contact(cut, "removed")
    for said in (kept, removed):
        cut.say(said)
    cut.other.answer = lambda request: (200, b"")
    other = next(node for node in cut.bus.list_nodes() if node.uri.host == OTHER)
    cut.contacts.on_node_down(other)
    cut.contacts.on_node_up(other)
    for said in (kept, removed):
        from_other(cut, said | {"xavps": {}})
    cut.holds = [kept]
    assert cut.comes_back() == []
    assert [found.aor for found in cut.contacts.contacts()] == ["kept"]
    told = [body for body in cut.others_heard() if body["action"] == 2]
    assert [body["aor"] for body in told] == ["removed"]


def test_a_node_without_the_channel_is_left_alone(cut: Cut) -> None:
    from_other(cut, contact(cut))
    cut.answers = False
    assert cut.comes_back() == []


def test_one_that_is_lost_in_the_middle_of_it_is_told_nothing(cut: Cut) -> None:
    from_other(cut, contact(cut))
    cut.contacts.on_node_down(cut.registrar)
    cut.contacts.on_node_up(cut.registrar)
    cut.run(3)
    cut.heard()
    cut.contacts.on_node_left(cut.registrar)
    cut.run(12)
    assert cut.heard() == []


def test_what_it_had_of_its_own_all_others_are_told(cut: Cut) -> None:
    cut.say(contact(cut, "same"))
    cut.holds = [contact(cut, "same"), contact(cut, "new")]
    assert cut.comes_back() == []
    (told,) = cut.others_heard()
    assert [one["aor"] for one in told["multi"].values()] == ["new"]


@pytest.mark.parametrize("status", [500, 503])
def test_who_refuses_the_question_has_shown_nothing(cut: Cut, status: int) -> None:
    cut.say(contact(cut))
    cut.say(contact(cut, "bob"))
    answer = cut.kamailio.answer
    cut.kamailio.answer = lambda request: (status, b"") if "usrloc@" in request.uri else answer(request)
    assert cut.comes_back() == []
    assert len(cut.contacts.contacts()) == 2 and cut.others_heard() == []


def test_who_comes_back_empty_was_restarted_though_it_asks_nobody(cut: Cut) -> None:
    said = [contact(cut, user) for user in ("alice", "bob", "carol")]
    for one in said:
        cut.say(one)
    cut.holds = [said[0]]
    assert cut.comes_back(20) == said[1:]
    assert len(cut.contacts.contacts()) == 3 and cut.others_heard() == []


def test_who_was_restarted_and_has_got_others_contacts_from_them_has_removed_nothing(cut: Cut) -> None:
    """It has asked the other registrar alone, which does not know what it had; a phone has come since,
    which it tells twice, as the acknowledgement was lost."""
    said = contact(cut)
    cut.say(said)
    others = [contact(cut, user) for user in ("bob", "carol")]
    for one in others:
        from_other(cut, one)
    since = contact(cut, "since")
    cut.holds = [*others, since, since]
    assert cut.comes_back() == [said]
    assert [found.aor for found in cut.contacts.contacts()] == ["alice", "bob", "carol", "since"]
    assert [one for one in cut.others_heard() if one.get("action") == 2] == []


def restarted(cut: Cut, *said: dict[str, Any]) -> None:
    """The registrar is found again without having been missed, empty; ``said`` is registered there."""
    cut.contacts.on_node_up(cut.registrar)
    cut.heard()
    cut.run(1)
    for one in said:
        cut.say(one)


@pytest.mark.parametrize("settled", [True, False])
def test_what_a_restarted_one_never_got_back_it_has_not_removed_when_it_is_cut_off_then(
    cut: Cut, settled: bool
) -> None:
    """It is cut off when it has been told its old contact in vain, or before, and has a new one."""
    old, since = contact(cut), contact(cut, "since")
    cut.say(old)
    restarted(cut, since)
    cut.run(10 if settled else 0.5)
    cut.holds = [since]
    assert cut.comes_back() == [old]
    assert [found.aor for found in cut.contacts.contacts()] == ["alice", "since"]
    assert [one for one in cut.others_heard() if one.get("action") == 2] == []


def test_what_a_restarted_one_has_shown_since_and_then_removed_unheard_is_followed(cut: Cut) -> None:
    old, since = contact(cut), contact(cut, "since")
    cut.say(old)
    restarted(cut, since)
    cut.run(10)
    cut.holds = [old, since]
    assert cut.comes_back() == []
    cut.holds = [since]
    assert cut.comes_back() == []
    assert [found.aor for found in cut.contacts.contacts()] == ["since"]
    healing, uri = cut.contacts._healing, cut.registrar.uri
    restarts = healing._restarts
    assert not restarts.doubtful(uri) and restarts.may_have_removed(cut.registrar, 0, 0, 0.0)


@pytest.mark.parametrize("asks", [True, False])
def test_one_of_which_nothing_was_known_is_followed_though_it_is_cut_off_at_once(
    cut: Cut, asks: bool
) -> None:
    """All that is known of it is of this life, so it need not have answered the question for it yet."""
    removed, kept = contact(cut), contact(cut, "kept")
    restarted(cut)
    if asks:
        cut.say({"action": 3})
    for said in (removed, kept):
        cut.say(said)
    cut.holds = [kept]
    assert cut.comes_back() == []
    assert [found.aor for found in cut.contacts.contacts()] == ["kept"]


def test_who_asks_in_the_middle_of_its_first_look_is_followed_after_it(cut: Cut) -> None:
    """So does a registrar that has just started."""
    restarted(cut)
    cut.say({"action": 3})
    cut.run(10)
    removed, kept = contact(cut), contact(cut, "kept")
    for said in (removed, kept):
        cut.say(said)
    cut.holds = [kept]
    assert cut.comes_back() == []
    assert [found.aor for found in cut.contacts.contacts()] == ["kept"]


def test_what_was_removed_there_stays_so_though_another_shows_first_what_was_refreshed_there(
    cut: Cut,
) -> None:
    """Both were cut off together: the other has heard of the refresh, and of the removal."""
    kept, removed = contact(cut, "kept"), contact(cut, "removed")
    for said in (kept, removed):
        cut.say(said)
    cut.run(5)
    refreshed = contact(cut, "kept", cseq=2)
    cut.other.answer = lambda request: (200, b"")
    other = next(node for node in cut.bus.list_nodes() if node.uri.host == OTHER)
    for node in (other, cut.registrar):
        cut.contacts.on_node_down(node)
    cut.contacts.on_node_up(other)
    from_other(cut, refreshed)
    cut.holds = [refreshed]
    assert cut.comes_back() == [refreshed]  # As it was told by the other.
    assert [found.aor for found in cut.contacts.contacts()] == ["kept"]
    assert cut.contacts._healing._restarts._shown_by_others == {}


def test_who_is_restarted_between_the_looks_is_told_what_it_has_shown_at_the_first(
    cut: Cut, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It asks nobody here, and was gone for less than a second."""
    others, own, lost = (contact(cut, user) for user in ("others", "own", "lost"))
    from_other(cut, others)
    for said in (own, lost):
        cut.say(said)
    cut.holds = [others, own]
    asked = []

    def ask(peer: UsrlocPeer, node: Node, ask: Any = UsrlocPeer.ask) -> None:
        asked.append(node)
        if len(asked) == 2:
            cut.holds = []
        ask(peer, node)

    monkeypatch.setattr(UsrlocPeer, "ask", ask)
    assert cut.comes_back() == [others, own, lost]
    assert len(cut.contacts.contacts()) == 3 and cut.others_heard() == []


def says(cut: Cut, call_id: str, *said: dict[str, Any]) -> None:
    """The registrar says these, in Call-IDs as a Kamailio has them."""
    for number, one in enumerate(said):
        cut.kamailio.request(HERE, "usrloc", _json(one), call_id=f"{call_id}{number:03x}-7@{THERE}")
    cut.run(0.5)


def test_who_was_not_restarted_is_followed_though_it_has_removed_more_than_it_still_has(cut: Cut) -> None:
    removed = [contact(cut, user) for user in ("alice", "bob")]
    kept = contact(cut, "kept")
    says(cut, "7df63fa2385a1", *removed, kept)
    cut.holds = [kept]
    cut.call_id = "7df63fa2385a2"
    assert cut.comes_back() == []
    assert [found.aor for found in cut.contacts.contacts()] == ["kept"]


def test_who_was_restarted_as_its_call_ids_tell_has_removed_nothing(cut: Cut) -> None:
    """While it was cut off; it has more phones by now than before, of which one was told in vain."""
    old, since = contact(cut), [contact(cut, user) for user in ("since", "later")]
    says(cut, "7df63fa2385a1", old)
    cut.contacts.on_node_down(cut.registrar)
    says(cut, "1df63fa2385a1", since[0])
    cut.holds = since
    cut.call_id = "1df63fa2385a2"
    assert cut.comes_back() == [old]
    assert [found.aor for found in cut.contacts.contacts()] == ["alice", "since", "later"]


def test_who_was_restarted_unmissed_is_asked_when_it_says_something_and_told_what_it_lacks(cut: Cut) -> None:
    old, since = contact(cut), contact(cut, "since")
    says(cut, "7df63fa2385a1", old)
    cut.run(120)
    cut.heard()
    says(cut, "1df63fa2385a1", since)
    assert {"action": 3} in cut.heard()
    says(cut, "1df63fa2385a2", since)
    cut.run(10)
    assert old in [one for body in cut.heard() if "multi" in body for one in body["multi"].values()]


def test_a_removal_is_remembered_for_as_long_as_the_contact_would_have_lived(cut: Cut) -> None:
    said = contact(cut, seconds=7200)
    cut.say(said)
    from_other(cut, said | {"action": 2})
    cut.run(1500)
    cut.holds = [said]
    assert cut.comes_back() == [said | {"action": 2}]
    assert cut.contacts.contacts() == []


def test_two_parts_for_one_node_are_both_told(cut: Cut) -> None:
    first, second = contact(cut), contact(cut, "bob")
    for one in (first, second):
        from_other(cut, one)
    cut.heard()
    node = cut.registrar
    cut.contacts.tell(node, ["u-alice"])
    cut.contacts.tell(node, ["u-bob"])
    cut.contacts.tell_removed(node, [contact(cut, "carol")])
    cut.run(1)
    told = cut.heard()
    given = [one for body in told if "multi" in body for one in body["multi"].values()]
    assert sorted(one["aor"] for one in given) == ["alice", "bob"]
    assert [body["aor"] for body in told if body.get("action")] == ["carol"]


@pytest.mark.parametrize(("lacks", "seconds"), [(False, 5), (True, 6.5)])
def test_after_seconds_it_has_been_told(cut: Cut, lacks: bool, seconds: float) -> None:
    own, other = contact(cut), contact(cut, "bob")
    cut.say(own)
    removed = contact(cut, "carol")
    cut.say(removed)
    from_other(cut, other)
    cut.holds = [own] if lacks else [own, removed]
    assert cut.comes_back(seconds) == [other]
    assert len(cut.contacts.contacts()) == (2 if lacks else 3)


def test_who_is_told_registrations_all_the_time_is_looked_at_all_the_same(cut: Cut) -> None:
    other = contact(cut, "other")
    from_other(cut, other)
    cut.contacts.on_node_down(cut.registrar)
    cut.heard()
    cut.contacts.on_node_up(cut.registrar)
    for number in range(20):
        cut.say(contact(cut, f"busy{number}"))
    told = [body for body in cut.heard() if "multi" in body]
    assert [list(body["multi"].values()) for body in told] == [[other]]


def test_what_another_that_was_cut_off_has_removed_is_not_told(cut: Cut) -> None:
    kept = contact(cut, "bob")
    cut.other.answer = lambda request: (200, b"")
    other = next(node for node in cut.bus.list_nodes() if node.uri.host == OTHER)
    cut.contacts.on_node_up(other)
    cut.run(10)
    for said in (contact(cut), kept):
        from_other(cut, said)
    for node in (other, cut.registrar):
        cut.contacts.on_node_down(node)
    cut.heard()
    cut.other.requests.clear()
    cut.contacts.on_node_up(cut.registrar)
    cut.run(1)
    cut.contacts.on_node_up(other)
    looks = 0
    for _ in range(80):
        cut.run(0.25)
        asked = sum(request.body == b'{"action":3}' for request in cut.other.requests)
        if asked > looks:
            looks = asked
            from_other(cut, kept)
    told = [one for body in cut.heard() if "multi" in body for one in body["multi"].values()]
    assert looks == 2 and [found.aor for found in cut.contacts.contacts()] == ["bob"]
    assert [one["aor"] for one in told] == ["bob"]


def test_who_is_never_done_with_its_look_holds_nobody_up(cut: Cut) -> None:
    from_other(cut, contact(cut))
    other = next(node for node in cut.bus.list_nodes() if node.uri.host == OTHER)
    cut.contacts.on_node_down(other)
    cut.contacts._healing.up(other)  # Its answer to the question does not come.
    assert [one["aor"] for one in cut.comes_back(9)] == ["alice"]


def asked(cut: Cut, seconds: float) -> int:
    """How often the registrar is asked in these seconds."""
    cut.kamailio.requests.clear()
    cut.run(seconds)
    return sum(request.body == b'{"action":3}' for request in cut.kamailio.requests)


def test_it_is_asked_once_as_it_gives_everything_anew_to_each_copy_of_the_question(cut: Cut) -> None:
    cut.kamailio.answer = lambda request: None
    cut.contacts.on_node_down(cut.registrar)
    cut.contacts.on_node_up(cut.registrar)
    assert asked(cut, 1.9) == 1
    # It is busy giving, and answers when it has given all.
    for number in range(8):
        cut.kamailio.request(HERE, "usrloc", _json(contact(cut, f"user{number}")))
        assert asked(cut, 1) == 0


def test_it_is_asked_again_if_it_says_nothing_but_not_for_ever(cut: Cut) -> None:
    other = contact(cut)
    from_other(cut, other)
    node, answer = cut.registrar, cut.kamailio.answer
    cut.kamailio.answer = lambda request: None
    cut.contacts.on_node_down(node)
    cut.contacts.on_node_up(node)
    assert asked(cut, 3) == 2
    cut.kamailio.answer = answer
    assert asked(cut, 4) == 1
    cut.run(5)
    assert [one["aor"] for body in cut.heard() if "multi" in body for one in body["multi"].values()] == [
        "alice"
    ]
    cut.contacts.on_node_down(node)
    cut.kamailio.answer = lambda request: None if "usrloc@" in request.uri else answer(request)
    cut.contacts.on_node_up(node)
    assert asked(cut, 70) == 5
    assert not cut.contacts._healing.looks_at(node.uri)


def test_what_one_has_that_comes_up_later_all_others_are_told(cut: Cut) -> None:
    cut.contacts.on_node_left(cut.registrar)
    cut.other.requests.clear()
    cut.holds = [contact(cut, "new")]
    cut.contacts.on_node_up(cut.registrar)
    cut.heard()
    cut.say(cut.holds[0])
    cut.run(10)
    (told,) = cut.others_heard()
    assert [one["aor"] for one in told["multi"].values()] == ["new"]


def test_what_one_has_removed_unheard_that_was_there_all_the_time_is_followed(cut: Cut) -> None:
    alice, bob = contact(cut), contact(cut, "bob")
    for one in (alice, bob):
        cut.say(one)
    cut.other.requests.clear()
    cut.contacts._healing.again(cut.registrar, missed=True)
    for _ in range(40):
        cut.run(0.25)
        for body in cut.heard():
            if body == {"action": 3}:
                cut.kamailio.request(HERE, "usrloc", _json(bob))
    assert [found.aor for found in cut.contacts.contacts()] == ["bob"]
    (told,) = cut.others_heard()
    assert (told["action"], told["aor"]) == (2, "alice")


def test_a_look_for_what_others_missed_follows_no_removal(cut: Cut) -> None:
    alice, bob = contact(cut), contact(cut, "bob")
    for one in (alice, bob):
        cut.say(one)
    cut.other.requests.clear()
    cut.contacts._healing.again(cut.registrar, missed=False)
    cut.heard()
    cut.say(bob)
    cut.run(12)
    told = [one for body in cut.heard() if "multi" in body for one in body["multi"].values()]
    assert told == [alice] and cut.others_heard() == []


def test_who_leaves_this_node_out_is_told_nothing_until_it_is_asked_once_more(cut: Cut) -> None:
    """It may know better, and nobody hears of it here; what comes last counts there."""
    from_other(cut, contact(cut))
    cut.registrar.left_out_at = cut.contacts.runtime.now() + 1
    cut.registrar.trouble[Trouble.UNLISTED] = "leaves this node out"
    assert cut.comes_back() == []
    del cut.registrar.trouble[Trouble.UNLISTED]
    cut.run(15)
    told = [one for body in cut.heard() if "multi" in body for one in body["multi"].values()]
    assert [one["aor"] for one in told] == ["alice"]


def test_what_is_registered_there_again_meanwhile_is_not_removed_for_having_been_removed_once(
    cut: Cut,
) -> None:
    said = contact(cut)
    cut.say(said)
    from_other(cut, said | {"action": 2})
    cut.run(5)
    cut.contacts.on_node_down(cut.registrar)
    cut.heard()
    cut.contacts.on_node_up(cut.registrar)
    cut.say(said)
    cut.say(contact(cut, cseq=2))
    assert [found.aor for found in cut.contacts.contacts()] == ["alice"]
    cut.run(20)
    assert [body for body in cut.heard() if body.get("action") == 2] == []


def test_what_another_registrar_has_got_by_now_was_not_removed(
    cut: Cut, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut.say(contact(cut))
    said = contact(cut, "bob")
    cut.say(said)
    cut.holds = [said]
    monkeypatch.setattr(usrloc_healing, "STEP", 1)
    step = UsrlocHealing._second

    def found(self: UsrlocHealing, look: Any, lacking: list[str]) -> None:
        assert lacking == ["u-alice"]
        cut.other.request(HERE, "usrloc", _json(contact(cut, cseq=2)))
        cut.cluster.clock.call_later(0.1, lambda: step(self, look, lacking))

    monkeypatch.setattr(UsrlocHealing, "_second", found)
    cut.comes_back()
    assert [found.aor for found in cut.contacts.contacts()] == ["alice", "bob"]
    assert [body for body in cut.others_heard() if body.get("action") == 2] == []


def test_one_that_is_busy_all_the_time_is_asked_again_too_if_the_question_was_lost(cut: Cut) -> None:
    other, answer = contact(cut, "other"), cut.kamailio.answer
    from_other(cut, other)
    cut.kamailio.answer = lambda request: None if request.body == b'{"action":3}' else answer(request)
    cut.contacts.on_node_down(cut.registrar)
    cut.contacts.on_node_up(cut.registrar)
    cut.run(1)
    cut.kamailio.answer = answer
    cut.heard()
    for number in range(90):
        cut.say(contact(cut, f"busy{number}"))
    told = [body for body in cut.heard() if "multi" in body]
    assert [list(body["multi"].values()) for body in told] == [[other]]


def test_who_is_told_a_contact_while_its_registrar_changes_or_removes_it_is_told_that_too(cut: Cut) -> None:
    """It may have heard that first."""
    refreshed, removed = contact(cut), contact(cut, "removed")
    for said in (refreshed, removed):
        from_other(cut, said)
    assert cut.comes_back(8) == [refreshed, removed]
    after = contact(cut, cseq=2)
    from_other(cut, after)
    from_other(cut, removed | {"action": 2})
    told = [body for body in cut.heard() if body != {"action": 3}]
    assert [next(iter(body["multi"].values())) for body in told[:1]] == [after]
    assert told[1:] == [removed | {"action": 2}]
    cut.run(CROSSING_S + 1)
    cut.heard()
    from_other(cut, contact(cut, cseq=3))
    assert cut.heard() == []
