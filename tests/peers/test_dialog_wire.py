"""The dialog channel as four releases of Kamailio were heard to speak it, and as nobody should."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmqcache.peers.dialog_wire import (
    DialogAction,
    DialogKey,
    DialogState,
    DialogWord,
    Profile,
    profiles_of,
    read_dialog,
    write_update,
)
from dmqcache.peers.json_fields import BodyRefused, Refusal
from tests.peers.recordings import DIALOG, bodies

UPDATE = (
    b'{"action":1,"h_entry":7,"h_id":9,"init_ts":5,"callid":"c","from_uri":"sip:a@x","to_uri":"sip:b@x",'
    b'"req_uri":"sip:b@y","tag1":"a","cseq1":"1","route_set1":"","contact1":"sip:a@y","state":1}'
)


@pytest.mark.parametrize("release", DIALOG)
def test_all_that_a_kamailio_said_is_read_with_every_field(release: str) -> None:
    words = [(read_dialog(body), json.loads(body)) for body in bodies(release, "dialog")]
    assert {word.action for word, _ in words} == set(DialogAction)
    for word, said in words:
        key = {} if word.key is None else word.key._asdict()
        assert {"action": int(word.action), **key, **word.fields} == said


@pytest.mark.parametrize("release", DIALOG)
def test_an_update_is_written_as_kamailio_writes_it(release: str) -> None:
    updates = [body for body in bodies(release, "dialog") if read_dialog(body).action is DialogAction.UPDATE]
    assert updates
    for body in updates:
        word = read_dialog(body)
        assert word.key is not None
        written = write_update(word.key, word.fields, stamped=True)
        assert written is not None
        assert json.loads(written) == json.loads(body)
        if release != "5.6.3":  # Which says some fields twice.
            assert written.replace(b'"last_modified"', b"") == body.replace(b'"last_modified"', b"")


def test_only_a_kamailio_that_knows_stamps_is_told_one() -> None:
    stamped = read_dialog(UPDATE.replace(b'"h_id":9', b'"h_id":9,"last_modified":1795689904'))
    assert write_update(DialogKey(7, 9), stamped.fields, stamped=False) == UPDATE


def test_a_kamailio_is_told_only_what_every_release_reads_and_only_whole_calls() -> None:
    word = read_dialog(UPDATE.replace(b'"state":1', b'"state":1,"new_in_7":"x"'))
    assert word.fields["new_in_7"] == "x"
    assert write_update(DialogKey(7, 9), word.fields, stamped=True) == UPDATE
    assert write_update(DialogKey(7, 9), {**word.fields, "start_ts": 6}, stamped=True) is None


def test_states_are_ordered_as_a_call_goes() -> None:
    states = [word.state for word in map(read_dialog, bodies("5.6.3", "dialog")) if word.action in (1, 2)]
    assert states[:3] == [DialogState.UNCONFIRMED, DialogState.EARLY, DialogState.CONFIRMED]
    assert states[-1] is DialogState.DELETED


REFUSED = {
    b"": Refusal.EMPTY_BODY,
    b"{}": Refusal.MISSING_ACTION,
    b'{"action":"1"}': Refusal.WRONG_TYPE,
    b'{"action":0}': Refusal.UNKNOWN_ACTION,
    b'{"action":5,"h_entry":1,"h_id":1}': Refusal.UNKNOWN_ACTION,
    b'{"action":3}': Refusal.MISSING_FIELD,
    b'{"action":3,"h_entry":1}': Refusal.MISSING_FIELD,
    b'{"action":3,"h_entry":"1","h_id":1}': Refusal.WRONG_TYPE,
    b'{"action":3,"h_entry":-1,"h_id":1}': Refusal.INTEGER_OUT_OF_RANGE,
    b'{"action":3,"h_entry":1,"h_id":4294967296}': Refusal.INTEGER_OUT_OF_RANGE,
    b'{"action":3,"h_entry":1,"h_id":1,"state":6}': Refusal.UNKNOWN_STATE,
    b'{"action":2,"h_entry":1,"h_id":1}': Refusal.MISSING_FIELD,
    b'{"action":2,"h_entry":1,"h_id":1,"state":0}': Refusal.UNKNOWN_STATE,
    b'{"action":2,"h_entry":1,"h_id":1,"state":4,"start_ts":-1}': Refusal.INTEGER_OUT_OF_RANGE,
    b'{"action":2,"h_entry":1,"h_id":1,"state":4,"lifetime":"long"}': Refusal.WRONG_TYPE,
    UPDATE.replace(b'"callid":"c",', b""): Refusal.MISSING_FIELD,
    UPDATE.replace(b'"init_ts":5,', b""): Refusal.MISSING_FIELD,
    UPDATE.replace(b'"contact1":"sip:a@y",', b""): Refusal.MISSING_FIELD,
    UPDATE.replace(b'"state":1', b'"state":1,"vars":{"n":5}'): Refusal.WRONG_TYPE,
    UPDATE.replace(b'"to_uri":"sip:b@x"', b'"to_uri":1'): Refusal.WRONG_TYPE,
    UPDATE.replace(b'"state":1', b'"state":1,"vars":"x"'): Refusal.WRONG_TYPE,
    UPDATE.replace(b'"state":1', b'"state":1,"profiles":{}'): Refusal.WRONG_TYPE,
}


@pytest.mark.parametrize("body", REFUSED, ids=lambda body: repr(body[:60]))
def test_what_nobody_should_say_is_refused_with_a_reason(body: bytes) -> None:
    with pytest.raises(BodyRefused) as refused:
        read_dialog(body)
    assert refused.value.reason is REFUSED[body]


@given(st.binary(max_size=80), st.integers(0, len(UPDATE)))
def test_whatever_stands_in_a_body_it_is_read_or_refused(strange: bytes, place: int) -> None:
    try:
        word = read_dialog(UPDATE[:place] + strange + UPDATE[place:])
    except BodyRefused:
        return
    assert isinstance(word, DialogWord)


def test_profiles_are_json_within_a_text() -> None:
    said = next(word.fields for word in map(read_dialog, bodies("6.1.5", "dialog")) if word.action == 1)
    assert list(profiles_of(said)) == [Profile("outbound", ""), Profile("caller", "sip:alice@example.com")]


@pytest.mark.parametrize(
    "said", ["", "x", "[]", "7", "[" * 20_000, '{"profiles":1}', '{"profiles":[1,{"name":1},{"value":"v"}]}']
)
def test_profiles_that_cannot_be_read_are_none(said: str) -> None:
    assert list(profiles_of({"profiles": said})) == []
