"""Calls as the dialog channel tells them: each step of recorded ones, and words that come late or never."""

from __future__ import annotations

import pytest

from dmqcache.peers.dialog_call import DEFAULT_LIFETIME_S, RINGING_S, STALE_S, Call, told
from dmqcache.peers.dialog_wire import DialogAction, DialogKey, DialogState, DialogWord, read_dialog
from dmqcache.peers.json_fields import Field
from tests.peers.recordings import DIALOG, bodies

KEY = DialogKey(7, 9)
BEGAN = 1_795_736_585


def update(state: int = 1, **fields: Field) -> DialogWord:
    known = {"init_ts": BEGAN, "callid": "c1", "from_uri": "sip:a@x", "to_uri": "sip:b@x", "state": state}
    return DialogWord(DialogAction.UPDATE, KEY, known | fields)


def state(number: int, **fields: Field) -> DialogWord:
    return DialogWord(DialogAction.STATE, KEY, {"state": number, **fields})


def call(*words: DialogWord) -> Call:
    found = None
    for word in words:
        found = told(found, word)
    assert found is not None
    return found


@pytest.mark.parametrize("release", DIALOG)
def test_a_recorded_call_is_right_at_each_step(release: str) -> None:
    steps, known = [], None
    for word in map(read_dialog, bodies(release, "dialog", "127.0.0.82")):
        if word.action in (DialogAction.UPDATE, DialogAction.STATE):
            key = known.key if known else word.key
            if word.key == key:
                known = told(known, word)
                assert known is not None
                steps.append(known.state)
    assert known is not None
    assert list(dict.fromkeys(steps)) == ["calling", "ringing", "talking", "ended"]
    assert (known.from_uri, known.to_uri) == ("sip:alice@example.com", "sip:bob@example.com")
    assert known.call_id.startswith("call1@")
    assert known.variables == {"tenant": "t1"}
    assert known.answered is not None and known.answered >= known.began > 0
    assert known.lifetime == DEFAULT_LIFETIME_S
    assert {"tag1", "cseq1", "route_set1", "contact1", "tag2", "cseq2", "contact2"} <= known.fields.keys()
    assert ("caller", "sip:alice@example.com") in known.profiles


def test_a_state_of_an_unknown_call_makes_none() -> None:
    assert told(None, state(4)) is None


def test_no_state_goes_back() -> None:
    talking = call(update(), state(4, start_ts=BEGAN + 5, lifetime=60, tag2="b"))
    assert told(talking, state(2, start_ts=0)) is talking
    again = told(talking, update(1, vars={"tenant": "t2"}, tag2="other"))
    assert again is not None
    assert (again.dialog_state, again.answered, again.fields["tag2"]) == (4, BEGAN + 5, "b")
    assert again.variables == {"tenant": "t2"}


def test_what_an_update_leaves_out_of_variables_and_profiles_is_gone() -> None:
    before = call(update(vars={"a": "1"}, profiles='{"profiles":[{"name":"p"}]}', route_set1="r"))
    after = told(before, update())
    assert after is not None
    assert (dict(after.variables), list(after.profiles)) == ({}, [])
    assert after.fields["route_set1"] == "r"


def test_what_is_said_again_changes_nothing() -> None:
    known = call(update(), state(4, start_ts=BEGAN))
    assert told(known, state(4, start_ts=BEGAN)) is known
    assert told(known, update()) is known


def test_an_older_stamp_of_6_2_changes_nothing() -> None:
    known = call(update(last_modified=20))
    assert told(known, state(2, last_modified=19)) is known
    assert told(known, update(2, last_modified=19)) is known
    assert call(update(last_modified=20), state(2, last_modified=20)).dialog_state is DialogState.EARLY


def test_the_number_of_a_slot_may_be_given_to_another_call() -> None:
    ended = call(update(), state(5))
    other = told(ended, update(callid="c2", to_uri="sip:c@x"))
    assert other is not None
    assert (other.call_id, other.to_uri, other.state) == ("c2", "sip:c@x", "calling")


def test_a_call_is_stale_after_its_lifetime_and_leaves_later() -> None:
    known = call(update(), state(4, start_ts=BEGAN + 5, lifetime=60))
    over = BEGAN + 65
    assert [known.stale(over - 1), known.stale(over)] == [False, True]
    assert known.leaves_at == over + STALE_S
    assert known.shown(over)["state"] == "stale"
    assert known.shown(over - 1)["state"] == "talking"
    assert known.shown(over)["age_s"] == 60


def test_a_call_that_rings_for_long_is_stale_but_stays_for_its_lifetime() -> None:
    known = call(update())
    assert [known.stale(BEGAN + RINGING_S - 1), known.stale(BEGAN + RINGING_S)] == [False, True]
    assert known.leaves_at == BEGAN + DEFAULT_LIFETIME_S + STALE_S


def test_it_is_shown_with_all_that_was_told() -> None:
    shown = call(update(profiles='{"profiles":[{"name":"p","value":"v"},{"name":"q"}]}', iflags=4)).shown(
        BEGAN
    )
    assert (shown["call_id"], shown["from"], shown["to"]) == ("c1", "sip:a@x", "sip:b@x")
    assert (shown["profiles"], shown["dialog"], shown["fields"]["iflags"]) == (["p=v", "q"], "7:9", 4)
