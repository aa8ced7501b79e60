"""What becomes of each kind of message that arrives, seen from the wire."""

from __future__ import annotations

import pytest

from dmqcache.bus.nodes.contacts import Contacts
from tests.bus.one_node import HERE, bench, statuses


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
    assert statuses(other) == [400] and not recorder.messages
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
