"""The presence channel as three releases of Kamailio were heard to speak it, and as nobody should."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmqcache.peers.json_fields import BodyRefused, Refusal
from dmqcache.peers.presence_wire import PresenceAction, read_presence, write_presentity, write_subscription
from tests.peers.recordings import PRESENCE, PRESENCE_IN_MEMORY, bodies

PUBLISH = (
    b'{"action":1,"presentity":{"domain":"x","user":"a","etag":"e1","expires":600,"recv":7,"event":"presence"},'
    b'"t_new":1,"cur_etag":"","ruid":"r1","body":"<p/>"}'
)


@pytest.mark.parametrize("release", [*PRESENCE, *PRESENCE_IN_MEMORY])
def test_all_that_a_kamailio_said_is_read_with_every_field_and_written_alike(release: str) -> None:
    words = [(read_presence(body), body) for body in bodies(release, "presence")]
    assert {word.action for word, _ in words} >= {
        PresenceAction.PRESENTITY,
        PresenceAction.SYNC_PRESENTITIES,
    }
    for word, body in words:
        if word.action is PresenceAction.PRESENTITY:
            assert {"action": 1, "presentity": word.presentity, **word.fields} == json.loads(body)
            assert write_presentity(word.presentity, word.fields) == body
        if word.action is PresenceAction.SUBSCRIPTION:
            assert {"action": 3, "subscription": word.subscription} == json.loads(body)
            assert write_subscription(word.subscription) == body
    published = [word for word, _ in words if word.action is PresenceAction.PRESENTITY]
    assert [word.removes for word in published] == [False] * (len(published) - 1) + [True]


REFUSED = {
    b"": Refusal.EMPTY_BODY,
    b"{}": Refusal.MISSING_ACTION,
    b'{"action":9}': Refusal.UNKNOWN_ACTION,
    b'{"action":1}': Refusal.MISSING_FIELD,
    b'{"action":1,"presentity":"x"}': Refusal.WRONG_TYPE,
    PUBLISH.replace(b'"user":"a",', b""): Refusal.MISSING_FIELD,
    b'{"action":3}': Refusal.MISSING_FIELD,
    b'{"action":3,"subscription":"x"}': Refusal.MISSING_FIELD,
    b'{"action":3,"subscription":{"callid":"c"}}': Refusal.MISSING_FIELD,
    b'{"action":3,"subscription":{"callid":7}}': Refusal.WRONG_TYPE,
    b'{"action":3,"subscription":{"expires":"soon"}}': Refusal.WRONG_TYPE,
    PUBLISH.replace(b'"etag":"e1"', b'"etag":1'): Refusal.WRONG_TYPE,
    PUBLISH.replace(b'"expires":600', b'"expires":-1'): Refusal.INTEGER_OUT_OF_RANGE,
    PUBLISH.replace(b'"recv":7,', b""): Refusal.MISSING_FIELD,
    PUBLISH.replace(b'"ruid":"r1"', b'"ruid":{}'): Refusal.WRONG_TYPE,
    PUBLISH.replace(b'"domain":"x"', b'"domain":{"x":1}'): Refusal.NESTED_TOO_DEEP,
}


@pytest.mark.parametrize("body", REFUSED, ids=lambda body: repr(body[:60]))
def test_what_nobody_should_say_is_refused_with_a_reason(body: bytes) -> None:
    with pytest.raises(BodyRefused) as refused:
        read_presence(body)
    assert refused.value.reason is REFUSED[body]


@given(st.binary(max_size=80), st.integers(0, len(PUBLISH)))
def test_whatever_stands_in_a_body_it_is_read_or_refused(strange: bytes, place: int) -> None:
    try:
        word = read_presence(PUBLISH[:place] + strange + PUBLISH[place:])
    except BodyRefused:
        return
    assert word.action in PresenceAction


@pytest.mark.parametrize("number", [2, 4])
def test_the_other_actions_say_nothing_but_themselves(number: int) -> None:
    word = read_presence(b'{"action":%d,"subscription":{"callid":"c"}}' % number)
    assert (word.action, word.presentity, word.fields, word.subscription) == (number, {}, {}, {})


def test_a_kamailio_is_told_only_what_every_release_reads() -> None:
    word = read_presence(PUBLISH.replace(b'"t_new":1', b'"t_new":1,"new_in_7":"x"'))
    assert word.fields["new_in_7"] == "x"
    assert write_presentity(word.presentity, word.fields) == PUBLISH
    assert (
        write_subscription({"callid": "c", "new_in_7": "x"}) == b'{"action":3,"subscription":{"callid":"c"}}'
    )
