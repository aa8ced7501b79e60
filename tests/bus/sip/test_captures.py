"""Every datagram of real Kamailio nodes is read, and what we write in its place says the same."""

from __future__ import annotations

import pytest

from dmqcache.bus.sip.serialize import Author, Draft, DraftReply, build_request, build_response
from dmqcache.bus.sip.sip_message import SipRequest, SipResponse, parse_message
from dmqcache.bus.sip.stream import StreamFramer
from dmqcache.bus.sip.uri import NodeURI, SipURI
from tests.bus.captures import CAPTURED, DATAGRAMS

every_datagram = pytest.mark.parametrize("data", DATAGRAMS, ids=[name for name, _ in CAPTURED])


def raw(data: bytes, name: str) -> str:
    """A header's value, found without our parser."""
    head = data.partition(b"\r\n\r\n")[0].decode()
    [value] = [line.partition(": ")[2] for line in head.split("\r\n") if line.startswith(name + ": ")]
    return value


def test_there_are_captures_of_both_versions() -> None:
    software = {parse_message(data).user_agent for data in DATAGRAMS}
    assert software == {"kamailio (5.6.3 (x86_64/linux))", "kamailio (6.2.0-dev1 (x86_64/linux))"}


@every_datagram
def test_the_key_fields(data: bytes) -> None:
    message = parse_message(data)
    message.check()
    first = data.partition(b"\r\n")[0].decode()
    if isinstance(message, SipRequest):
        assert (message.method, message.uri) == tuple(first.split(" ")[:2])
        assert message.method == "KDMQ"
        assert SipURI.parse(message.uri).user in ("notification_peer", "htable")
        assert message.max_forwards == int(raw(data, "Max-Forwards"))
        assert message.content_type == raw(data, "Content-Type")
        assert raw(data, "To") == f"<{message.to.uri}>" and message.to.tag == ""
    else:
        assert f"SIP/2.0 {message.status} {message.reason}" == first
        assert raw(data, "To") == f"<{message.to.uri}>;tag={message.to.tag}"
    assert message.body == data.partition(b"\r\n\r\n")[2]
    assert len(message.body) == int(raw(data, "Content-Length"))
    assert raw(data, "From") == f"<{message.from_.uri}>;tag={message.from_.tag}"
    assert raw(data, "CSeq") == f"{message.cseq.number} {message.cseq.method}"
    assert raw(data, "Call-ID") == message.call_id
    port = "" if message.via.port is None else f":{message.via.port}"
    assert raw(data, "Via") == f"SIP/2.0/UDP {message.via.host}{port};branch={message.via.branch}"
    assert message.vias == [raw(data, "Via")]
    node = NodeURI.parse(message.from_.uri)
    assert str(node) == f"sip:{message.from_.uri.partition('@')[2]}"
    assert node.with_user(SipURI.parse(message.from_.uri).user) == message.from_.uri


@every_datagram
def test_on_a_stream_they_come_out_as_they_are(data: bytes) -> None:
    framer = StreamFramer()
    assert framer.feed(data + b"\r\n\r\n" + data) == [data, data]
    assert framer.pongs == 1


@every_datagram
def test_written_again_it_says_the_same(data: bytes) -> None:
    message = parse_message(data)
    if isinstance(message, SipResponse):
        draft = Draft(
            "KDMQ",
            message.to.uri,
            message.from_.uri,
            message.to.uri,
            "udp",
            message.via.branch,
            message.call_id,
            message.cseq.number,
            1,
            "text/plain",
            b"",
        )
        asked = build_request(Author(message.via.host, message.from_.tag), draft)
        request = parse_message(asked)
        assert isinstance(request, SipRequest)
        answer = DraftReply(
            message.status,
            message.reason,
            message.body,
            message.headers.get("Content-Type"),
            message.to.tag,
            message.user_agent,
        )
        again = build_response(request, answer)
    else:
        sent_by = message.via.host if message.via.port is None else f"{message.via.host}:{message.via.port}"
        draft = Draft(
            message.method,
            message.uri,
            message.from_.uri,
            message.to.uri,
            message.via.transport,
            message.via.branch,
            message.call_id,
            message.cseq.number,
            message.max_forwards,
            message.content_type,
            message.body,
        )
        again = build_request(Author(sent_by, message.from_.tag, message.user_agent), draft)
        # The same lines in our order: Content-Length stands further up.
        assert sorted(again.split(b"\r\n")) == sorted(data.split(b"\r\n"))
    written = parse_message(again)
    for view in ("from_", "to", "call_id", "cseq", "body", "content_type", "user_agent", "max_forwards"):
        assert getattr(written, view) == getattr(message, view)
