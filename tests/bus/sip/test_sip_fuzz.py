"""Damaged and random bytes into the SIP codec: only MessageError comes out, and nobody reads two ways."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from dmqcache.bus.sip.headers import REASONS_FOR_DROP
from dmqcache.bus.sip.serialize import DraftReply, build_response
from dmqcache.bus.sip.sip_message import MessageError, SipRequest, parse_message
from dmqcache.bus.sip.stream import StreamFramer
from dmqcache.bus.sip.uri import Endpoint, NodeURI, SipURI, URIError
from tests.bus.captures import DATAGRAMS
from tests.bus.sip.sip_cases import BAD, GOOD

SEEDS = [case.data for case in GOOD] + [case.data for case in BAD if len(case.data) < 2000] + DATAGRAMS[:20]
#: What breaks parsers, to be put anywhere.
SPLINTERS = [
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n ",
    b"\r\n\r\n",
    b"\0",
    b'"',
    b"<",
    b">",
    b";",
    b",",
    b":",
    b"=",
    b"@",
]
SPLINTERS += [
    b"\\",
    b"[",
    b"]",
    b"%",
    b"\xff",
    b"\xc2\x85",
    b" ",
    b"\t",
    b"-",
    b"9" * 30,
    b"SIP/2.0",
    b"l: 1\r\n",
]
SOURCE = Endpoint("udp", "10.0.0.7", 40000)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A good or bad message with a few cuts, copies and splinters."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.sampled_from((0, 0, 1, 2, 7, 40))))
        data[start:end] = draw(st.sampled_from(SPLINTERS) | st.binary(max_size=3))
    return bytes(data)


def attempt(data: bytes, stream: bool) -> None:
    """Everything that the bus does with bytes from a stranger."""
    try:
        message = parse_message(data, stream=stream)
        if isinstance(message, SipRequest):
            reply = parse_message(build_response(message, DraftReply(200, "", b"x", "a/b", "t", "s"), SOURCE))
            assert (reply.call_id, reply.cseq, reply.body) == (message.call_id, message.cseq, b"x")
        message.max_forwards, message.content_type, message.user_agent, message.supported, message.vias  # noqa: B018
        repr(message)
        message.check()
    except MessageError as error:
        assert error.reason in REASONS_FOR_DROP
        if error.request is not None:
            build_response(error.request, DraftReply(400, to_tag="t", server="s"), SOURCE)
        return
    for text in (message.from_.uri, message.to.uri):
        try:
            node = NodeURI.from_sip(SipURI.parse(text))
        except URIError:
            continue
        assert NodeURI.parse(str(node)) == node


@settings(deadline=None)
@given(st.binary(max_size=600), st.booleans())
def test_random_bytes(data: bytes, stream: bool) -> None:
    attempt(data, stream)


@settings(max_examples=300, deadline=None)
@given(damaged(), st.booleans())
def test_damaged_messages(data: bytes, stream: bool) -> None:
    attempt(data, stream)


@settings(deadline=None)
@given(damaged())
def test_a_damaged_stream_is_cut_alike_in_any_pieces_and_as_the_parser_reads_it(data: bytes) -> None:
    pieces = random.Random(len(data))
    outcomes = []
    for most in (len(data) + 1, 1, 50):
        framer, messages, position = StreamFramer(), [], 0
        try:
            while position < len(data):
                size = pieces.randint(1, most) if most > 1 else 1
                messages += framer.feed(data[position : position + size])
                position += size
        except MessageError as error:
            assert error.reason in REASONS_FOR_DROP
        outcomes.append((messages, framer.error and framer.error.reason))
    assert outcomes[0] == outcomes[1] == outcomes[2]
    for message in outcomes[0][0]:
        try:
            parsed = parse_message(message, stream=True)
        except MessageError as error:
            # Cut by one length and read by another: that is how requests are smuggled.
            assert error.reason != "truncated_body"
        else:
            assert message.endswith(parsed.body)
            assert message[: len(message) - len(parsed.body)].endswith((b"\n\r\n", b"\n\n"))


@settings(deadline=None)
@given(st.text(alphabet='sip:@[]%;?=&.,<>" \\\t\n0189azé\udcff', max_size=60))
def test_random_uris(text: str) -> None:
    for parse in (SipURI.parse, NodeURI.parse):
        try:
            parsed = parse(text)
        except URIError:
            continue
        assert parse(str(parsed)) == parsed
