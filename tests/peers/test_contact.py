"""What becomes of a contact by a word."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dmqcache.peers.contact import FOR_EVER, Contact, key_of, removed_fields, told
from dmqcache.peers.usrloc_wire import UsrlocAction, UsrlocWord, read_usrloc, write_contact

BODY = {"action": 1, "aor": "alice", "ruid": "u-1", "c": "sip:a@h", "expires": 900, "last_modified": 100}


def word(batch: bool = False, **fields: Any) -> UsrlocWord:
    body = BODY | fields
    (found,) = read_usrloc(json.dumps({"multi": {"1": body}} if batch else body).encode())
    return found


def test_a_contact_is_what_was_told_of_it() -> None:
    contact = told(None, word(user_agent="Phone", xavps={"a": {"b": 1}}), "sip:here")
    assert (contact.aor, contact.uri, contact.last_modified, contact.expires) == (
        "alice",
        "sip:a@h",
        100,
        900,
    )
    assert contact.over_at == 900
    shown = contact.shown(600.5)
    assert (shown["expires_s"], shown["user_agent"], shown["node"]) == (299, "Phone", "sip:here")
    assert shown["fields"]["xavps"] == {"a": {"b": 1}}


def test_one_that_never_expires() -> None:
    contact = told(None, word(expires=0), "")
    assert (contact.expires, contact.over_at, contact.shown(5)["expires_s"]) == (None, FOR_EVER, None)


def test_a_refresh_is_later_or_of_the_same_second() -> None:
    before = told(None, word(), "sip:one")
    assert told(before, word(last_modified=99, expires=5000), "sip:two") is before
    assert told(before, word(), "sip:two") is before
    after = told(before, word(cseq=2), "sip:two")
    assert (after.fields["cseq"], after.node) == (2, "sip:two")
    assert told(after, word(last_modified=101, expires=950), "sip:two").expires == 950


def test_a_late_copy_of_an_earlier_register_counts_nowhere() -> None:
    before = told(None, word(callid="x", cseq=4), "sip:one")
    late = {"last_modified": 95, "expires": 0}
    assert told(before, word(callid="x", cseq=3, **late), "sip:one", dated=False) is before
    # Another registrar's clock is behind; the phone began anew, with another Call-ID or with the same.
    for later in (
        word(callid="x", cseq=5, **late),
        word(callid="y", cseq=3, **late),
        word(callid="x", cseq=1, last_modified=101),
    ):
        assert told(before, later, "sip:one", dated=False).fields == later.fields


def test_it_stays_with_who_told_it_when_another_shows_the_same_refresh_in_words_of_its_release() -> None:
    before = told(None, word(sock="udp:h:5060"), "sip:one")
    assert told(before, word(xavps={}), "sip:two") is before
    more = told(before, word(xavps={"a": {"b": 1}}), "sip:two")
    assert (more.node, more.fields["sock"], more.fields["xavps"]) == (
        "sip:one",
        "udp:h:5060",
        {"a": {"b": 1}},
    )
    assert told(more, word(xavps={}), "sip:two") is more
    # A refresh, and what a phone says to another registrar, is no copy.
    assert told(before, word(last_modified=101), "sip:two").node == "sip:two"
    assert told(before, word(xavps={}), "sip:two", dated=False).node == "sip:two"


def test_xavps_are_not_taken_by_a_batch_that_has_none() -> None:
    before = told(None, word(xavps={"a": {"b": 1}}), "")
    assert told(before, word(batch=True), "") is before
    assert told(before, word(batch=True, last_modified=101), "").fields["xavps"] == {"a": {"b": 1}}
    assert "xavps" not in told(before, word(last_modified=101), "").fields


def test_what_a_contact_is_known_by() -> None:
    assert key_of(BODY) == "u-1"
    other = {"ruid": "", "aor": "a", "c": "sip:a@h", "callid": "x"}
    assert key_of(other) == "a\0sip:a@h\0x"
    assert Contact(other).last_modified == 0


@pytest.mark.parametrize(
    "key", ["u-1", "a\0sip:a@h\0x", "\0", "\0x", "\0b\0c", "a\0b", "a\0b\0c\0d", "a\0\0"]
)
def test_whatever_a_contact_was_known_by_its_removal_can_be_told_to_a_node_of_ours(key: str) -> None:
    """One that cannot be read would spoil all that are told with it."""
    (word,) = read_usrloc(write_contact(removed_fields(key, 7, 900.5), UsrlocAction.REMOVE))
    assert (key_of(word.fields), word.fields["last_modified"], word.fields["expires"]) == (key, 7, 901)
