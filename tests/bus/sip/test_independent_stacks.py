"""What we write is read alike by two stacks that are not ours, and what one of them writes is read by us."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sipmessage

from dmqcache.bus.sip.headers import split_list
from dmqcache.bus.sip.serialize import Author, Draft, DraftReply, build_request, build_response
from dmqcache.bus.sip.sip_message import SipMessage, SipRequest, SipResponse, parse_message
from dmqcache.bus.sip.uri import Endpoint, NodeURI, SipURI
from tests.bus.captures import CAPTURED, DATAGRAMS
from tests.bus.sip import aiosip_shim

LIST = b"sip:127.0.0.11:5060;status=active\r\nsip:127.0.0.12:5060;status=active\r\n"
BODIES = [(b"", "text/plain"), (LIST, "text/plain"), (b'{"action":1}', "application/json")]
NODES = [
    NodeURI("127.0.0.12"),
    NodeURI("127.0.0.12", 5070, "tcp"),
    NodeURI("node-2.example.com", 5061, "tls"),
    NodeURI("2001:db8::12", 5060, "tcp"),
]


def requests() -> Iterator[bytes]:
    """Every kind of request that a node sends."""
    for node in NODES:
        here = node._replace(host="::1" if ":" in node.host else "127.0.0.11")
        for channel in ("notification_peer", "htable"):
            for body, media in BODIES:
                for extra in ((), (("Supported", "dmqcache-2"),)):
                    uri = node.with_user(channel)
                    author = Author(here.host_port, "fedcba9876543210", "dmqcache (0.1.0)", extra)
                    draft = Draft(
                        "KDMQ",
                        uri,
                        here.with_user(channel),
                        uri,
                        here.transport,
                        "z9hG4bK0123456789abcdef",
                        "0011223344556677@dmqcache",
                        10,
                        2,
                        media,
                        body,
                    )
                    yield build_request(author, draft)


def replies() -> Iterator[bytes]:
    """Every kind of reply that a node sends, to requests of ours and of Kamailio."""
    for data in [*requests(), *DATAGRAMS]:
        request = parse_message(data)
        if not isinstance(request, SipRequest):
            continue
        source = Endpoint(request.via.transport, "127.0.0.99", 5060)
        for status in (200, 202, 400, 404, 405, 500):
            body, media = BODIES[1] if status == 200 else BODIES[0]
            extra = [("Allow", "KDMQ, OPTIONS")]
            draft = DraftReply(status, "", body, media, "tag1", "dmqcache (0.1.0)", extra)
            yield build_response(request, draft, source)


def as_we_read(message: SipMessage) -> dict[str, Any]:
    """What the two sides must agree on."""
    read: dict[str, Any] = {
        "from": (message.from_.uri, message.from_.tag),
        "to": (message.to.uri, message.to.tag),
        "call_id": message.call_id,
        "cseq": (message.cseq.number, message.cseq.method),
        "via": (message.via.transport, message.via.host, message.via.port, dict(message.via.params)),
        "length": len(message.body),
        "media": message.content_type,
        "agent": message.user_agent,
        "supported": message.headers.get("Supported"),
    }
    if isinstance(message, SipRequest):
        return read | {"start": message.method, "hops": message.max_forwards}
    assert isinstance(message, SipResponse)
    return read | {"start": (message.status, message.reason), "allow": message.headers.get("Allow")}


def as_sipmessage_reads(data: bytes) -> dict[str, Any]:
    message = sipmessage.Message.parse(data)
    via = message.via[0]
    read: dict[str, Any] = {
        "from": (str(message.from_address.uri), message.from_address.parameters["tag"]),
        "to": (str(message.to_address.uri), message.to_address.parameters.get("tag", "")),
        "call_id": message.call_id,
        "cseq": (message.cseq.sequence, message.cseq.method),
        "via": (
            via.transport.lower(),
            via.host.strip("[]"),
            via.port,
            {name: value or "" for name, value in via.parameters.items()},
        ),
        "length": message.content_length,
        "media": message.content_type.mime_type if message.content_type else "",
        "agent": message.headers.get("User-Agent") or message.headers.get("Server") or "",
        "supported": message.headers.get("Supported") or "",
    }
    assert len(message.body) == message.content_length
    if isinstance(message, sipmessage.Request):
        return read | {"start": message.method, "hops": message.max_forwards}
    assert isinstance(message, sipmessage.Response)
    return read | {"start": (message.code, message.phrase), "allow": message.headers.get("Allow") or ""}


def as_aiosip_reads(data: bytes) -> dict[str, Any]:
    """Without the transport of a URI's short form, and its body without line ends: it drops both."""
    message = aiosip_shim.parse(data)
    top = split_list(message.headers["Via"])[0]
    read = {
        "from": (str(message.from_details["uri"]), message.from_details["params"]["tag"]),
        "to": (str(message.to_details["uri"]), message.to_details["params"].get("tag", "")),
        "call_id": message.headers["Call-ID"],
        "cseq": (int(message.headers["CSeq"].split()[0]), message.headers["CSeq"].split()[1]),
        "via": top,
        "length": int(message.headers["Content-Length"]),
        "media": message.headers.get("Content-Type", ""),
        "supported": message.headers.get("Supported", ""),
        "body": (message.payload or "").encode(),
    }
    if hasattr(message, "status_code"):
        return read | {"start": (message.status_code, message.status_message)}
    return read | {"start": message.method, "hops": int(message.headers["Max-Forwards"])}


def for_aiosip(message: SipMessage) -> dict[str, Any]:
    ours = as_we_read(message)
    del ours["agent"]
    ours.pop("allow", None)
    return ours | {"via": message.vias[0], "body": message.body.replace(b"\r\n", b"")}


OURS = [*requests(), *replies()]


def test_sipmessage_reads_what_we_write() -> None:
    for data in OURS:
        assert as_sipmessage_reads(data) == as_we_read(parse_message(data)), data


def test_aiosip_reads_what_we_write() -> None:
    # Its pattern for a URI has no place for the colons of an IPv6 address.
    readable = [data for data in OURS if b"::" not in data]
    assert len(readable) > 100
    for data in readable:
        assert as_aiosip_reads(data) == for_aiosip(parse_message(data)), data


@pytest.mark.parametrize("data", DATAGRAMS, ids=[name for name, _ in CAPTURED])
def test_all_three_read_kamailio_alike(data: bytes) -> None:
    message = parse_message(data)
    assert as_sipmessage_reads(data) == as_we_read(message)
    assert as_aiosip_reads(data) == for_aiosip(message)


@pytest.mark.parametrize("node", NODES, ids=str)
@pytest.mark.parametrize(("body", "media"), BODIES)
def test_we_read_what_sipmessage_writes(node: NodeURI, body: bytes, media: str) -> None:
    uri = sipmessage.URI.parse(node.with_user("htable"))
    written = sipmessage.Request("KDMQ", uri, body=body)
    written.via = [
        sipmessage.Via.parse("SIP/2.0/TCP [2001:db8::1]:5061;branch=z9hG4bK1;rport"),
        sipmessage.Via.parse("SIP/2.0/UDP proxy.example.com;branch=z9hG4bK2;received=10.0.0.1"),
    ]
    display = 'A "quoted\\" name, <with> everything;'
    written.from_address = sipmessage.Address(uri, display, sipmessage.Parameters(tag="f1"))
    written.to_address = sipmessage.Address(uri)
    written.call_id = "call-1@host"
    written.cseq = sipmessage.CSeq(4711, "KDMQ")
    written.max_forwards = 2
    written.content_type = sipmessage.MediaType.parse(media + ";charset=utf-8")
    written.content_length = len(body)
    written.supported = ["dmqcache-2", "path"]

    message = parse_message(bytes(written))
    assert isinstance(message, SipRequest)
    message.check()
    assert (message.method, message.uri, message.body) == ("KDMQ", str(uri), body)
    assert NodeURI.from_sip(SipURI.parse(message.uri)) == node
    assert (message.via.transport, message.via.host, message.via.port) == ("tcp", "2001:db8::1", 5061)
    assert message.via.params == {"branch": "z9hG4bK1", "rport": ""}
    assert len(message.vias) == 2
    assert (message.from_.uri, message.from_.tag, message.to.tag) == (str(uri), "f1", "")
    assert message.from_.display == display
    assert (message.call_id, message.cseq, message.max_forwards) == ("call-1@host", (4711, "KDMQ"), 2)
    assert message.content_type == media
    assert message.supported == {"dmqcache-2", "path"}

    response = sipmessage.Response(404, "Not Found Peer ID", body=body)
    response.via = written.via
    response.from_address, response.to_address = written.from_address, written.to_address
    response.call_id, response.cseq = written.call_id, written.cseq
    response.content_length = len(body)
    reply = parse_message(bytes(response), stream=True)
    assert isinstance(reply, SipResponse)
    assert (reply.status, reply.reason, reply.body) == (404, "Not Found Peer ID", body)
    assert reply.vias == message.vias and reply.from_ == message.from_
