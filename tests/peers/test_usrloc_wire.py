"""The bodies of the usrloc channel: Kamailio's own are read, ours are read by us, bad ones are refused."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmqcache.peers.json_fields import BodyRefused
from dmqcache.peers.usrloc_wire import (
    MAX_BATCH,
    SYNC_BODY,
    UsrlocAction,
    contacts_in,
    read_usrloc,
    write_batches,
    write_contact,
)
from tests.peers.recordings import USRLOC, bodies

ALICE = {"aor": "alice", "ruid": "u-1", "c": "sip:alice@h", "expires": 5, "last_modified": 3}


@pytest.mark.parametrize("release", USRLOC)
def test_what_a_kamailio_says_is_read_and_written_the_same(release: str) -> None:
    seen = set()
    for body in bodies(release, "usrloc"):
        for word in read_usrloc(body):
            seen.add(word.action)
            if word.action is not UsrlocAction.SYNC and not word.batched:
                assert write_contact(word.fields, word.action) == body
    assert seen == set(UsrlocAction)


def test_a_question_and_silence() -> None:
    assert [word.action for word in read_usrloc(SYNC_BODY)] == [UsrlocAction.SYNC]
    assert read_usrloc(b"{}") == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"action":4}',
        b'{"action":"1"}',
        b'{"action":1}',
        b'{"action":2,"aor":"a"}',
        b'{"multi":1}',
        b'{"multi":{"1":2}}',
        b'{"multi":{"1":{"aor":"a"}}}',
        json.dumps({"action": 1, **ALICE, "aor": ""}).encode(),
        json.dumps({"action": 1, **ALICE, "aor": 7}).encode(),
        json.dumps({"action": 1, **ALICE, "expires": -1}).encode(),
        json.dumps({"action": 1, **ALICE, "xavps": "x"}).encode(),
        json.dumps({"action": 1, **ALICE, "q": 0.5}).encode(),
        b'{"action":1,"xavps":' + b'{"a":' * 50 + b"1" + b"}" * 51,
        b'{"multi":{' + b",".join(b'"%d":{"action":3}' % number for number in range(300)) + b"}}",
    ],
)
def test_what_no_kamailio_says_is_refused(body: bytes) -> None:
    with pytest.raises(BodyRefused):
        read_usrloc(body)


@given(st.binary())
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    with contextlib.suppress(BodyRefused):
        read_usrloc(body)


def test_batches_have_what_a_kamailio_takes_and_nothing_is_left_out() -> None:
    contacts = [{**ALICE, "ruid": f"u-{number}", "path": "p" * (number % 300)} for number in range(1000)]
    written = list(write_batches(contacts, 31_000))
    assert all(len(body) <= 31_000 and contacts_in(body) <= MAX_BATCH for body in written)
    words = [word for body in written for word in read_usrloc(body)]
    assert [dict(word.fields) for word in words] == contacts
    assert all(word.batched for word in words)
    assert sum(map(contacts_in, written)) == 1000
    assert list(json.loads(written[0])) == ["multi"] and "1" in json.loads(written[0])["multi"]
    assert list(write_batches([], 31_000)) == []


@pytest.mark.parametrize("depth", [1, 2, 4, 5, 6, 7, 8])
def test_what_is_taken_alone_can_be_told_with_others(depth: int) -> None:
    """Else a node of ours would refuse all that are told with it."""
    more: dict[str, Any] = {"x": 1}
    for _ in range(depth - 1):
        more = {"in": more}
    said = {"action": 1, "aor": "a", "ruid": "r", "c": "c", "expires": 0, "last_modified": 1, "more": more}
    try:
        (word,) = read_usrloc(json.dumps(said).encode())
    except BodyRefused:
        assert depth > 5
        return
    (body,) = write_batches([word.fields], 31_000)
    assert read_usrloc(body)[0].fields == word.fields
