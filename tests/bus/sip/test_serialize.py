"""dmqcache.bus.sip.serialize: golden bytes of what we write."""

from __future__ import annotations

from typing import Any

import pytest

from dmqcache.bus.sip.serialize import REASONS, Author, Draft, DraftReply, build_request, build_response
from dmqcache.bus.sip.sip_message import MessageError, SipRequest, SipResponse, parse_message
from dmqcache.bus.sip.uri import Endpoint
from tests.bus.sip.sip_cases import COMPACT, replaced, request

AUTHOR = Author("127.0.0.11:5060", "f1", "dmqcache (0.1.0)")
DRAFT = Draft(
    method="KDMQ",
    uri="sip:htable@127.0.0.12:5060",
    from_uri="sip:htable@127.0.0.11:5060",
    to_uri="sip:htable@127.0.0.12:5060",
    transport="udp",
    branch="z9hG4bK1",
    call_id="c1@127.0.0.11",
    cseq=10,
    max_forwards=1,
    content_type="application/json",
    body=b'{"action":1}',
)
HERE = Endpoint("udp", "127.0.0.12", 5060)


def incoming(via: bytes) -> SipRequest:
    message = parse_message(request(replaced(b"Via", b"Via: " + via + b"\r\n")))
    assert isinstance(message, SipRequest)
    return message


def answer(message: SipRequest, source: Endpoint | None, **changed: Any) -> SipResponse:
    draft = DraftReply(200, to_tag="t1")._replace(**changed)
    reply = parse_message(build_response(message, draft, source))
    assert isinstance(reply, SipResponse)
    return reply


def test_a_request_byte_for_byte() -> None:
    assert build_request(AUTHOR._replace(extra=[("Supported", "dmqcache-2")]), DRAFT) == (
        b"KDMQ sip:htable@127.0.0.12:5060 SIP/2.0\r\n"
        b"Via: SIP/2.0/UDP 127.0.0.11:5060;branch=z9hG4bK1\r\n"
        b"To: <sip:htable@127.0.0.12:5060>\r\n"
        b"Content-Length: 12\r\n"
        b"From: <sip:htable@127.0.0.11:5060>;tag=f1\r\n"
        b"CSeq: 10 KDMQ\r\n"
        b"Call-ID: c1@127.0.0.11\r\n"
        b"User-Agent: dmqcache (0.1.0)\r\n"
        b"Max-Forwards: 1\r\n"
        b"Content-Type: application/json\r\n"
        b"Supported: dmqcache-2\r\n"
        b"\r\n"
        b'{"action":1}'
    )


def test_a_request_is_read_back() -> None:
    body = bytes(range(256)) * 4
    draft = DRAFT._replace(body=body, transport="tcp")
    message = parse_message(build_request(Author("[::1]:5060", "f1"), draft))
    assert isinstance(message, SipRequest)
    assert (message.body, message.user_agent, message.uri) == (body, "", DRAFT.uri)
    assert (message.via.transport, message.via.host, message.via.port) == ("tcp", "::1", 5060)
    assert (message.from_.tag, message.call_id, message.cseq) == ("f1", DRAFT.call_id, (10, "KDMQ"))


@pytest.mark.parametrize("name", ["uri", "from_tag", "call_id", "content_type", "user_agent", "branch"])
@pytest.mark.parametrize("evil", ["a\r\nX: y", "a\nX: y", "a\rX: y", "a\r\n", "a\0"])
def test_no_value_can_bring_a_line_of_its_own(name: str, evil: str) -> None:
    author = Author(**AUTHOR._asdict() | {name: evil}) if name in Author._fields else AUTHOR
    draft = Draft(**DRAFT._asdict() | {name: evil}) if name in Draft._fields else DRAFT
    with pytest.raises(ValueError, match="line end"):
        build_request(author, draft)
    with pytest.raises(ValueError, match="line end"):
        build_request(AUTHOR._replace(extra=[("X", evil)]), DRAFT)


def test_a_reply_byte_for_byte() -> None:
    message = parse_message(build_request(AUTHOR, DRAFT))
    assert isinstance(message, SipRequest)
    extra = [("Supported", "dmqcache-2")]
    draft = DraftReply(200, "", b"x", "text/plain", "t1", "dmqcache (0.1.0)", extra)
    data = build_response(message, draft, HERE)
    assert data == (
        b"SIP/2.0 200 OK\r\n"
        b"Via: SIP/2.0/UDP 127.0.0.11:5060;branch=z9hG4bK1;received=127.0.0.12\r\n"
        b"To: <sip:htable@127.0.0.12:5060>;tag=t1\r\n"
        b"Content-Length: 1\r\n"
        b"From: <sip:htable@127.0.0.11:5060>;tag=f1\r\n"
        b"CSeq: 10 KDMQ\r\n"
        b"Call-ID: c1@127.0.0.11\r\n"
        b"Server: dmqcache (0.1.0)\r\n"
        b"Content-Type: text/plain\r\n"
        b"Supported: dmqcache-2\r\n"
        b"\r\n"
        b"x"
    )


def test_a_to_that_ends_with_a_semicolon_gets_one_parameter_more_and_no_empty_one() -> None:
    data = build_request(AUTHOR, DRAFT).replace(
        b"To: <sip:htable@127.0.0.12:5060>", b"To: <sip:htable@127.0.0.12>; ;"
    )
    message = parse_message(data)
    assert isinstance(message, SipRequest)
    data = build_response(message, DraftReply(200, to_tag="t1"), HERE)
    assert b"To: <sip:htable@127.0.0.12>;tag=t1\r\n" in data


def test_a_reply_copies_all_vias_and_keeps_a_tag() -> None:
    message = parse_message(COMPACT)
    assert isinstance(message, SipRequest)
    reply = answer(message, None, content_type="text/plain", server="s")
    assert reply.vias == message.vias
    assert (reply.to.tag, reply.from_, reply.call_id, reply.cseq) == (
        "t1",
        message.from_,
        message.call_id,
        message.cseq,
    )
    assert reply.content_type == "", "no Content-Type without a body"
    assert reply.user_agent == "s"


@pytest.mark.parametrize(
    ("via", "source", "expected"),
    [
        (b"SIP/2.0/UDP 127.0.0.12:5060;branch=b", HERE, "SIP/2.0/UDP 127.0.0.12:5060;branch=b"),
        (b"SIP/2.0/UDP node;branch=b", HERE, "SIP/2.0/UDP node;branch=b;received=127.0.0.12"),
        (b"SIP/2.0/UDP node;branch=b; ", HERE, "SIP/2.0/UDP node;branch=b;received=127.0.0.12"),
        (
            b"SIP/2.0/UDP node;branch=b;rport;",
            HERE,
            "SIP/2.0/UDP node;branch=b;rport=5060;received=127.0.0.12",
        ),
        (
            b"SIP/2.0/UDP 127.0.0.12;rport;branch=b",
            HERE,
            "SIP/2.0/UDP 127.0.0.12;rport=5060;branch=b;received=127.0.0.12",
        ),
        (
            b"SIP/2.0/UDP n; RPORT = 1 ;branch=b",
            HERE,
            "SIP/2.0/UDP n;rport=5060;branch=b;received=127.0.0.12",
        ),
        (b"SIP/2.0/UDP 127.0.0.12;received=6.6.6.6;branch=b", HERE, "SIP/2.0/UDP 127.0.0.12;branch=b"),
        (b"SIP/2.0/UDP n;received=6.6.6.6;branch=b", HERE, "SIP/2.0/UDP n;branch=b;received=127.0.0.12"),
        (b'SIP/2.0/UDP n;x=";rport;received=1";rports=1;rport', HERE, None),
        (b"SIP/2.0/UDP [0::1];branch=b", Endpoint("udp", "::1", 9), "SIP/2.0/UDP [0::1];branch=b"),
        (b"SIP/2.0/UDP n;branch=b", Endpoint("udp", "::1", 9), "SIP/2.0/UDP n;branch=b;received=::1"),
        (b"gibberish", HERE, "gibberish"),
    ],
)
def test_the_top_via_notes_where_the_request_came_from(
    via: bytes, source: Endpoint, expected: str | None
) -> None:
    reply = answer(incoming(via), source)
    if expected is None:
        expected = 'SIP/2.0/UDP n;x=";rport;received=1";rports=1;rport=5060;received=127.0.0.12'
    assert reply.vias == [expected]


def test_only_the_top_via_is_touched() -> None:
    message = incoming(b"SIP/2.0/UDP a;rport, SIP/2.0/UDP b;rport\r\nVia: SIP/2.0/UDP c;rport")
    assert answer(message, HERE).vias == [
        "SIP/2.0/UDP a;rport=5060;received=127.0.0.12",
        "SIP/2.0/UDP b;rport",
        "SIP/2.0/UDP c;rport",
    ]


@pytest.mark.parametrize(
    ("to", "expected"),
    [
        (b"<sip:a@h;tag=uri>", "<sip:a@h;tag=uri>;tag=t1"),
        (b"sip:a@h", "sip:a@h;tag=t1"),
        (b"<sip:a@h>;x=y", "<sip:a@h>;x=y;tag=t1"),
        (b"<sip:a@h>;TAG=t9", "<sip:a@h>;TAG=t9"),
        (b"<sip:broken", "<sip:broken;tag=t1"),
    ],
)
def test_to_gets_a_tag_once(to: bytes, expected: str) -> None:
    message = parse_message(request(replaced(b"To", b"To: " + to + b"\r\n")))
    assert isinstance(message, SipRequest)
    assert answer(message, None).headers.get("to") == expected
    assert answer(message, None, to_tag="").headers.get("to") == to.decode()


def test_a_handlers_words_cannot_break_the_reply() -> None:
    message = incoming(b"SIP/2.0/UDP 127.0.0.12")
    reply = answer(
        message,
        HERE,
        status=500,
        reason="it\r\nX: broke\0",
        body=b"b",
        content_type="a/b\r\nY: z",
        server="é\n",
        extra=[("Allow", "KDMQ\r\nZ: 1")],
    )
    assert (reply.status, reply.reason, reply.body) == (500, "it X: broke ", b"b")
    assert "x" not in reply.headers and "y" not in reply.headers and "z" not in reply.headers
    assert reply.user_agent == "é"


def test_the_usual_phrases() -> None:
    message = incoming(b"SIP/2.0/UDP 127.0.0.12")
    for status in (200, 202, 400, 404, 405, 408, 500, 503):
        assert answer(message, None, status=status).reason == REASONS[status]
    assert answer(message, None, status=299).reason == "Unknown"
    assert answer(message, None, reason="Fine").reason == "Fine"


def test_a_request_with_a_bad_body_is_answered() -> None:
    with pytest.raises(MessageError) as caught:
        parse_message(request(more=b"l: 99\r\n"))
    assert caught.value.request is not None
    reply = parse_message(build_response(caught.value.request, DraftReply(400, to_tag="t"), HERE))
    assert (reply.call_id, reply.to.tag) == ("c1", "t")
