"""Signatures: what counts, what does not, and that each line of a message is under them."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmqcache.bus.trust.keys import KEY_BYTES, Key, KeyRing
from dmqcache.bus.trust.signature import (
    MAX_SENDERS,
    Signature,
    Signer,
    Verdict,
    key_name,
    only_key,
)

OLD, NEW = Key(b"o" * KEY_BYTES), Key(b"n" * KEY_BYTES)


class Signed(NamedTuple):
    """What of a message is signed."""

    lines: str
    body: bytes


def signed(*lines: str, body: bytes = b"") -> Signed:
    return Signed("\n".join(lines), body)


LINES = ("KDMQ sip:htable@127.0.0.2:5060", "<sip:htable@127.0.0.1:5060>", "call-1", "7 KDMQ", "z9hG4bK1")
REQUEST = signed(*LINES, body=b'{"cells":[]}')
REPLY = signed("200", "", "dmqcache-2")


def signer(name: str, *keys: Key) -> Signer:
    count = iter(range(1_000_000))
    return Signer(KeyRing(keys or (OLD,)), name, lambda: f"{name}-token-{next(count)}")


def introduced(sender: Signer, receiver: Signer) -> str:
    """The token that the sender is told for its first request."""
    sent = sender.sign(*REQUEST)
    verdict, request = receiver.judge(str(sent), *REQUEST, 0)
    assert verdict is Verdict.TOKEN_NEEDED and request == sent
    verdict, token = sender.judge_reply(receiver.sign_reply(request, *REPLY), sent, *REPLY)
    assert verdict is Verdict.GOOD
    return token


def changed(number: int) -> Signed:
    """The request with one of its lines, or its body, made longer."""
    lines = [line + "x" if at == number else line for at, line in enumerate(LINES)]
    return signed(*lines, body=REQUEST.body + b"x" * (number == len(lines)))


def test_a_signature_is_the_same_in_every_release() -> None:
    """What nodes of the first one wrote: they run beside later ones while a cluster is upgraded."""
    a = signer("0123456789abcdef", Key(bytes(range(KEY_BYTES))))
    lines = ("KDMQ sip:dmqcache@127.0.0.2:5060", "<sip:dmqcache@127.0.0.1:5060>;tag=1", "c\udcff", "7 KDMQ")
    begun = "v=1;key=00a610f2;from=0123456789abcdef;"
    what = signed(*lines, "z9hG4bK1", "1", "application/json", "dmqcache-2", body=b'{"rows":{}}')
    for _ in range(2):
        assert str(a.sign(*what, "token")) == f"{begun}to=token;mac=TRdEqIWZQCwaT-0LSqa6zyGRYSV248Oh"
        assert str(a.sign(*signed(""))) == f"{begun}to=;mac=Mhrz5kR4IPAeBD17S-HVczpCexe_szil"


def test_the_signature_of_a_reply_is_the_same_in_every_release() -> None:
    a = Signer(KeyRing((Key(bytes(range(KEY_BYTES))),)), "0123456789abcdef", lambda: "drawn")
    request = Signature("00a610f2", "fedcba9876543210", "token", "m" * 32)
    reply = signed("200", "application/json", "dmqcache-2", body=b"{}")
    begun = "v=1;key=00a610f2;from=0123456789abcdef;to=drawn;"
    assert a.sign_reply(request, *reply) == f"{begun}mac=Cn8yiLkOLVYrFIxIYRdimo3fSh3IQk9A"


def test_a_signed_request_counts_once_the_token_is_known() -> None:
    a, b = signer("a"), signer("b")
    token = introduced(a, b)
    assert b.judge(str(a.sign(*REQUEST, token)), *REQUEST, 7)[0] is Verdict.GOOD


def test_a_recorded_request_counts_once() -> None:
    a, b = signer("a"), signer("b")
    recorded = str(a.sign(*REQUEST, introduced(a, b)))
    assert b.judge(recorded, *REQUEST, 7)[0] is Verdict.GOOD
    assert b.judge(recorded, *REQUEST, 7)[0] is Verdict.REPEATED


def test_one_that_was_not_handled_counts_once_more() -> None:
    a, b = signer("a"), signer("b")
    sent = a.sign(*REQUEST, introduced(a, b))
    assert b.judge(str(sent), *REQUEST, 7)[0] is Verdict.GOOD
    b.give_back(sent, 7)
    assert b.judge(str(sent), *REQUEST, 7)[0] is Verdict.GOOD
    b.give_back(sent._replace(instance="nobody"), 7)
    assert b.judge(str(sent), *REQUEST, 7)[0] is Verdict.REPEATED


def test_a_recorded_request_does_not_count_in_the_receivers_next_life() -> None:
    a, b = signer("a"), signer("b")
    recorded = str(a.sign(*REQUEST, introduced(a, b)))
    assert signer("b2").judge(recorded, *REQUEST, 7)[0] is Verdict.TOKEN_NEEDED


def test_a_recorded_request_does_not_count_when_its_sender_was_forgotten() -> None:
    a, b = signer("a"), signer("b")
    recorded = str(a.sign(*REQUEST, introduced(a, b)))
    assert b.judge(recorded, *REQUEST, 7)[0] is Verdict.GOOD
    for number in range(MAX_SENDERS):
        introduced(signer(f"other-{number}"), b)
    assert b.judge(recorded, *REQUEST, 7)[0] is Verdict.TOKEN_NEEDED


@pytest.mark.parametrize("number", range(len(LINES) + 1))
def test_every_line_and_the_body_are_under_the_signature(number: int) -> None:
    a, b = signer("a"), signer("b")
    header = str(a.sign(*REQUEST, introduced(a, b)))
    assert b.judge(header, *changed(number), 7)[0] is Verdict.BAD


def test_moving_a_byte_from_one_line_to_the_next_is_noticed() -> None:
    a, b = signer("a"), signer("b")
    header = str(a.sign(*REQUEST, introduced(a, b)))
    start, from_, call_id, cseq, branch = LINES
    moved = signed(start, from_, call_id + "7", cseq[1:], branch, body=REQUEST.body)
    assert b.judge(header, *moved, 7)[0] is Verdict.BAD
    shifted = signed(*LINES[:-1], body=(LINES[-1] + "\n").encode() + REQUEST.body)
    assert b.judge(header, *shifted, 7)[0] is Verdict.BAD


def test_another_key_an_own_message_and_nonsense_count_nothing() -> None:
    a, b = signer("a"), signer("b", NEW)
    assert b.judge(str(a.sign(*REQUEST)), *REQUEST, 7) == (Verdict.UNKNOWN_KEY, None)
    assert a.judge(str(a.sign(*REQUEST)), *REQUEST, 7) == (Verdict.BAD, None)
    assert a.judge("v=1", *REQUEST, 7) == (Verdict.BAD, None)
    assert a.judge("", *REQUEST, 7) == (Verdict.ABSENT, None)


@pytest.mark.parametrize("mac", ["x" * 32, "é" * 32, "\udcff" * 32, "x" * 31, "x" * 33, " " * 32, ""])
def test_what_begins_as_good_ones_did_is_judged_all_the_same(mac: str) -> None:
    a, b = signer("a"), signer("b")
    sent = a.sign(*REQUEST, introduced(a, b))
    reply = b.sign_reply(sent, *REPLY)
    for _ in range(2):
        a.judge_reply(reply, sent, *REPLY)
        b.judge(str(sent), *REQUEST, 7)
        assert b.judge(str(sent)[: -len(sent.digest)] + mac, *REQUEST, 8) == (Verdict.BAD, None)
        assert a.judge_reply(reply[: -len(sent.digest)] + mac, sent, *REPLY) == (Verdict.BAD, "")


def test_a_key_that_is_taken_away_counts_no_more_for_those_who_were_heard_with_it() -> None:
    a, b = signer("a"), signer("b")
    sent = a.sign(*REQUEST, introduced(a, b))
    assert b.judge(str(sent), *REQUEST, 7)[0] is Verdict.GOOD
    reply = b.sign_reply(sent, *REPLY)
    assert a.judge_reply(reply, sent, *REPLY)[0] is Verdict.GOOD
    a.ring = b.ring = KeyRing((NEW,))
    assert b.judge(str(sent), *REQUEST, 8) == (Verdict.UNKNOWN_KEY, None)
    assert a.judge_reply(reply, sent, *REPLY) == (Verdict.UNKNOWN_KEY, "")


def test_keys_are_exchanged_node_by_node() -> None:
    """Both know both; then one signs with the new one; then the other forgets the old one."""
    a, b = signer("a", OLD, NEW), signer("b", OLD, NEW)
    token = introduced(a, b)
    a.ring = KeyRing((NEW, OLD))
    assert b.judge(str(a.sign(*REQUEST, token)), *REQUEST, 8)[0] is Verdict.GOOD
    b.ring = KeyRing((NEW,))
    assert b.judge(str(a.sign(*REQUEST, token)), *REQUEST, 9)[0] is Verdict.GOOD
    a.ring = KeyRing((OLD,))
    assert b.judge(str(a.sign(*REQUEST, token)), *REQUEST, 10)[0] is Verdict.UNKNOWN_KEY


def test_a_reply_answers_its_request_and_no_other() -> None:
    a, b = signer("a"), signer("b")
    token = introduced(a, b)
    first = a.sign(*REQUEST, token)
    second = a.sign(*changed(2), token)
    reply = b.sign_reply(first, *REPLY)
    assert a.judge_reply(reply, first, *REPLY) == (Verdict.GOOD, token)
    assert a.judge_reply(reply, second, *REPLY)[0] is Verdict.BAD
    assert a.judge_reply(reply, first, *REPLY._replace(body=b"forged"))[0] is Verdict.BAD
    assert a.judge_reply("", first, *REPLY)[0] is Verdict.ABSENT


def test_a_request_is_no_reply() -> None:
    a, b = signer("a"), signer("b")
    first = a.sign(*REQUEST, introduced(a, b))
    assert a.judge_reply(str(b.sign(*REPLY)), first, *REPLY)[0] is Verdict.BAD


def test_a_refusal_names_the_key_that_would_count_and_nothing_else() -> None:
    a = signer("a")
    first = a.sign(*REQUEST)
    assert a.judge_reply(only_key(NEW), first, *REPLY) == (Verdict.UNKNOWN_KEY, "")
    assert a.judge_reply(only_key(OLD), first, *REPLY) == (Verdict.BAD, "")
    assert key_name(only_key(NEW)) == NEW.name and key_name("nonsense") == ""


@given(st.text(max_size=120))
def test_any_text_is_a_signature_or_none(text: str) -> None:
    found = Signature.parse(text)
    assert found is None or Signature.parse(str(found)) == found


def test_a_signature_is_read_as_it_was_written() -> None:
    written = signer("a").sign(*REQUEST, "token")
    assert Signature.parse(str(written)) == written
    assert Signature.parse(str(written) + "\n") is None
