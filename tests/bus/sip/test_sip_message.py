"""dmqcache.bus.sip.sip_message: datagrams to messages."""

from __future__ import annotations

import pytest

from dmqcache.bus.sip.headers import REASONS_FOR_DROP
from dmqcache.bus.sip.sip_message import MessageError, SipRequest, SipResponse, parse_message
from tests.bus.sip.sip_cases import BAD, GOOD, PLAIN, Bad, Good, assert_reads, replaced, request


def name(case: Good | Bad) -> str:
    return case.name


@pytest.mark.parametrize("case", GOOD, ids=name)
def test_good_datagrams(case: Good) -> None:
    assert_reads(parse_message(case.data), case.expected)


@pytest.mark.parametrize("case", [case for case in GOOD if case.stream], ids=name)
def test_bytes_after_content_length_are_cut_off(case: Good) -> None:
    assert_reads(parse_message(case.data + b"\r\nKDMQ sip:x SIP/2.0"), case.expected)


@pytest.mark.parametrize("case", GOOD, ids=name)
def test_a_view_of_a_buffer_reads_as_its_bytes_do(case: Good) -> None:
    padded = bytearray(b"??" + case.data + b"??")
    message = parse_message(memoryview(padded)[2:-2])
    padded[:] = b"!" * len(padded)
    assert_reads(message, case.expected)


@pytest.mark.parametrize("case", BAD, ids=name)
def test_bad_datagrams_have_a_named_reason(case: Bad) -> None:
    with pytest.raises(MessageError) as caught:
        parse_message(case.data)
    assert caught.value.reason == case.reason
    assert REASONS_FOR_DROP[case.reason] in str(caught.value)


@pytest.mark.parametrize("case", GOOD, ids=name)
def test_every_truncation_is_refused_or_only_shortens_a_body_without_length(case: Good) -> None:
    for size in range(len(case.data)):
        try:
            message = parse_message(case.data[:size])
        except MessageError:
            continue
        assert not case.stream, f"{size} of {len(case.data)} bytes were taken"
        assert message.body == case.expected["body"][: len(message.body)]


def test_every_reason_is_tried_somewhere_in_these_tests() -> None:
    tried = {case.reason for case in BAD} | {case.stream_reason for case in BAD}
    in_views = {"bad_via", "bad_from", "bad_to"}
    assert tried | in_views >= set(REASONS_FOR_DROP)


def test_a_stream_needs_a_length() -> None:
    with pytest.raises(MessageError) as caught:
        parse_message(request(more=b""), stream=True)
    assert caught.value.reason == "missing_content_length"


def test_a_message_of_a_stream_may_be_larger_than_a_datagram() -> None:
    body = b"x" * 200_000
    assert parse_message(request(more=b"l: 200000\r\n", body=body), stream=True).body == body


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"Via: SIP/2.0/UDP\r\n", "bad_via"),
        (b"Via: SIP/3.0/UDP 127.0.0.1\r\n", "bad_via"),
        (b"Via: SIP/2.0/UDP 127.0.0.1:99999\r\n", "bad_via"),
        (b"Via: SIP/2.0/UDP 127.0.0.1:0\r\n", "bad_via"),
        (b"Via: SIP/2.0/UDP 127.0.0.1:" + b"1" * 5000 + b"\r\n", "bad_via"),
        (b"Via: SIP/2.0/UDP 300.0.0.1\r\n", "bad_via"),
        (b"Via: SIP/2.0/UDP [::g]\r\n", "bad_via"),
        (b"Via: SIP/2.0/UDP [1::2::3]\r\n", "bad_via"),
        (b"Via: SIP/2.0/UDP 127.0.0.1;=x\r\n", "bad_via"),
        (b'Via: SIP/2.0/UDP 127.0.0.1;branch="x\r\n', "bad_via"),
        (b"Via: ,\r\n", "bad_via"),
        (b"From: <sip:a@b\r\n", "bad_from"),
        (b"From: nobody\r\n", "bad_from"),
        (b'From: "a <sip:a@b>\r\n', "bad_from"),
        (b"From: <sip:a@b>x\r\n", "bad_from"),
        (b"From: <sip:a@b>;tag=a b\r\n", "bad_from"),
        (b"To: <>\r\n", "bad_to"),
        (b"To: <sip:a@b>, <sip:c@d>\r\n", "bad_to"),
    ],
)
def test_a_header_that_cannot_be_read_is_told_apart(line: bytes, reason: str) -> None:
    message = parse_message(request(replaced(line.partition(b":")[0], line)))
    with pytest.raises(MessageError) as caught:
        message.check()
    assert caught.value.reason == reason


@pytest.mark.parametrize("length", [b"7", b"-7", DIGITS := b"9" * 5000])
def test_a_request_with_a_bad_body_can_still_be_answered(length: bytes) -> None:
    with pytest.raises(MessageError) as caught:
        parse_message(request(more=b"Content-Length: " + length + b"\r\n"))
    assert isinstance(caught.value.request, SipRequest)
    assert caught.value.request.call_id == "c1"


@pytest.mark.parametrize(
    ("data", "call_id"),
    [
        (request(replaced(b"CSeq", b"CSeq: x KDMQ\r\n")), "c1"),
        (request(replaced(b"Call-ID", b"")), ""),
        (request().replace(b"SIP/2.0\r\n", b"SIP/3.0\r\n", 1), "c1"),
    ],
)
def test_of_a_broken_request_there_is_as_much_as_an_answer_needs(data: bytes, call_id: str) -> None:
    with pytest.raises(MessageError) as caught:
        parse_message(data)
    kept = caught.value.request
    assert isinstance(kept, SipRequest) and kept.method == "KDMQ" and kept.call_id == call_id
    assert kept.headers.get("via") and set(dict(kept.headers)) <= {"via", "from", "to", "call-id", "cseq"}


@pytest.mark.parametrize(
    "data",
    [
        request(replaced(b"Via", b"")),
        request().replace(b"SIP/2.0\r\n", b"\r\n", 1),
        b"SIP/3.0 200 OK\r\n\r\n",
    ],
)
def test_what_nobody_could_answer_is_not_kept(data: bytes) -> None:
    with pytest.raises(MessageError) as caught:
        parse_message(data)
    assert caught.value.request is None


@pytest.mark.parametrize(
    ("text", "hops"),
    [(b"1", 1), (b"255", 255), (b"256", 255), (b"-1", 0), (b"x", 0), (b"", 0), (b"9" * 5000, 0)],
)
def test_max_forwards_is_a_small_number_or_none(text: bytes, hops: int) -> None:
    assert parse_message(request(more=b"Max-Forwards: " + text + b"\r\nl: 0\r\n")).max_forwards == hops


def test_the_headers_are_found_in_any_case_and_form() -> None:
    message = parse_message(request(more=b"X-Own: 1\r\nx-own: 2\r\nm: <sip:a@b>\r\nl: 0\r\n"))
    headers = message.headers
    assert headers.get("X-OWN") == headers.get("x-own") == "1"
    assert headers.get_all("X-Own") == ["1", "2"]
    assert headers.get("Contact") == headers.get("m") == "<sip:a@b>"
    assert "contact" in headers and "M" in headers and "y" not in headers
    assert headers.get("Server", "none") == "none" and headers.get_all("Server") == []
    assert len(headers) == 9
    assert ("x-own", "2") in list(headers)


def test_messages_show_themselves_in_logs() -> None:
    assert "KDMQ sip:htable@127.0.0.11:5060 c1" in repr(parse_message(request()))
    reply = b"SIP/2.0 202 Accepted\r\n" + PLAIN + b"\r\n"
    assert "202 Accepted c1" in repr(parse_message(reply))
    assert isinstance(parse_message(reply), SipResponse)
