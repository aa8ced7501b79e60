"""What becomes of each kind of message that arrives, seen from the wire."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from dmqcache.bus.nodes.contacts import Contacts
from dmqcache.bus.sip.uri import Endpoint
from dmqcache.bus.trust.guard import KeyPolicy
from dmqcache.bus.trust.keys import KEY_BYTES, Key, KeyRing
from tests.bus.one_node import HERE, bench, statuses
from tests.bus.sip.torture import MESSAGES, REQUESTS, as_kdmq
from tests.bus.virtual import Stranger


@pytest.mark.parametrize(("method", "status"), [("INVITE", 405), ("MESSAGE", 405), ("OPTIONS", 200)])
def test_other_methods(method: str, status: int) -> None:
    _, _, recorder, other = bench()
    other.request(HERE, "htable", method=method)
    other.settle()
    assert statuses(other) == [status]
    assert other.responses[0].headers.get("allow") == "KDMQ, OPTIONS"
    assert not recorder.messages


def test_an_ack_gets_nothing() -> None:
    _, bus, _, other = bench()
    other.request(HERE, "htable", method="ACK")
    other.settle()
    assert not other.responses and bus.counters.drops == {"ack": 1}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "keep_alive"),
        (b"\r\n\r\n", "keep_alive"),
        (b"GET / HTTP/1.1\r\n\r\n", "not_sip"),
        (b"\x80\x00\x01" * 100, "not_sip"),
        (b"KDMQ sip:x@y SIP/2.0\r\n\r\n", "missing_header"),
    ],
)
def test_what_is_no_sip_is_dropped_and_counted(data: bytes, reason: str) -> None:
    _, bus, _, other = bench()
    other.send(HERE, data)
    other.settle()
    assert not other.responses and bus.counters.drops == {reason: 1}


def test_a_truncated_body_is_a_400() -> None:
    _, bus, recorder, other = bench()
    data = other.request("127.0.0.99", "htable", b"0123456789").replace(b"127.0.0.99", HERE.encode())
    other.send(HERE, data[:-1])
    other.send(HERE, data[:-1].replace(b"KDMQ", b"ACK"))
    other.send(HERE, data[:-1].replace(b"UDP 127", b"UDP @@ 127"))
    other.settle()
    # An unreadable Via says nothing of where the answer goes: to where the request came from.
    assert statuses(other) == [400, 400] and not recorder.messages
    assert bus.counters.drops == {"truncated_body": 3}


def test_a_broken_via_is_dropped() -> None:
    _, bus, recorder, other = bench()
    data = other.request("127.0.0.99", "htable").replace(b"Via: SIP/2.0/UDP 127", b"Via: SIP/2.0/UDP @@ 127")
    other.send(HERE, data)
    other.settle()
    assert bus.counters.drops == {"bad_via": 1} and not recorder.messages


def test_a_failure_of_our_own_never_reaches_the_transport(monkeypatch: pytest.MonkeyPatch) -> None:
    _, bus, _, other = bench()
    monkeypatch.setattr(Contacts, "sender", lambda *args: 1 / 0)
    other.request(HERE, "htable")
    other.settle()
    assert bus.counters.drops == {"internal_error": 1}


def test_a_node_that_sends_our_request_back_is_not_taken_for_ourselves() -> None:
    """It has answered us before, and we never answer ourselves."""
    cluster, bus, recorder, other = bench()
    other.answer = lambda request: None
    ended: list[int] = []
    bus.send_message(
        recorder, b"", other.uri, timeout=2.0, on_response=lambda answer: ended.append(answer.status)
    )
    cluster.clock.run(0.01)
    sent = [data for _, source, to, data in cluster.net.log if to == other.endpoint][-1]
    other.send(HERE, sent)
    other.settle()
    assert bus.counters.drops == {"own_message": 1}
    assert len(bus.active_nodes()) == 1 and not ended


#: Where the Vias of the torture messages want their answers.
ANSWER_PORTS = (5050, 5060, 5061, 6050, 19823)


def answered(message: bytes, key: KeyPolicy | None = None) -> tuple[list[int], Counter[str], list[bytes]]:
    """The statuses and bytes of what a stranger at .66 gets for a message, and what was counted."""
    cluster, bus, _, _ = bench(known=False, key=key)
    stranger = Stranger(cluster, "127.0.0.66")
    got: list[bytes] = []
    for port in ANSWER_PORTS:
        cluster.net.receivers[Endpoint("udp", "127.0.0.66", port)] = lambda data, source: got.append(data)
    before = Counter(bus.counters.drops)
    stranger.send(HERE, message)
    cluster.clock.run(3)
    answers = [data for data in got if data.startswith(b"SIP/2.0 ")]
    return [int(data[8:11]) for data in answers], Counter(bus.counters.drops) - before, answers


@pytest.mark.parametrize("name", MESSAGES)
def test_the_torture_messages_of_the_rfcs_get_the_answer_that_these_want(name: str) -> None:
    message, status = MESSAGES[name]
    statuses, drops, answers = answered(message)
    assert statuses == ([status] if status else [])
    assert sum(drops.values()) == (0 if status == 200 else 1) and not drops["internal_error"]
    call_id = re.search(rb"\r\n(?:Call-ID|i) *: *([^\r]+)", message, re.IGNORECASE)
    assert all(call_id is None or call_id[1] in data for data in answers)
    for data in answers:
        # Nothing that was not there is made up.
        assert b": \r\n" not in data
    if status == 420:
        assert b"Unsupported: nothingSupportsThis, nothingSupportsThisEither\r\n" in answers[0]


@pytest.mark.parametrize("name", REQUESTS)
def test_with_our_own_method_they_are_refused_too_and_add_nobody(name: str) -> None:
    statuses, drops, _ = answered(as_kdmq(MESSAGES[name][0]))
    assert len(statuses) == 1 and 400 <= statuses[0] < 600
    assert not drops["internal_error"]


@pytest.mark.parametrize("name", REQUESTS)
def test_with_a_key_they_get_no_answer_at_all(name: str) -> None:
    policy = KeyPolicy(KeyRing((Key(b"k" * KEY_BYTES),)))
    assert answered(MESSAGES[name][0], policy)[0] == []


def test_a_to_that_cannot_be_read_is_answered_with_400() -> None:
    cluster, bus, recorder, other = bench()
    data = other.request(HERE, "htable", b"x")
    cluster.clock.run(0.1)
    assert len(recorder.messages) == 1
    broken = re.sub(rb"To: [^\r]*", b"To: <<sip:htable@127.0.0.11>", data).replace(b"CSeq: 10", b"CSeq: 11")
    other.responses.clear()
    for _ in range(2):
        other.send(HERE, broken)
        cluster.clock.run(0.1)
    assert statuses(other) == [400, 400] and len(recorder.messages) == 1
    assert bus.counters.drops["bad_to"] == 2


def test_no_broken_ack_and_no_broken_reply_is_answered() -> None:
    for line in (b"ACK sip:x@y SIP/7.0", b"SIP/7.0 200 OK", b"nonsense"):
        statuses, _, _ = answered(line + b"\r\nVia: SIP/2.0/UDP 127.0.0.66;branch=z9hG4bK1\r\n\r\n")
        assert statuses == []
