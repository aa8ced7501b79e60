"""dmqcache.bus.sip.stream: bytes of a connection to messages."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dmqcache.bus.sip.sip_message import MessageError, parse_message
from dmqcache.bus.sip.stream import StreamFramer
from tests.bus.sip.sip_cases import BAD, GOOD, Bad, Good, assert_reads, request
from tests.bus.sip.test_sip_message import name

STREAMED = [case for case in GOOD if case.stream]


def byte_by_byte(framer: StreamFramer, data: bytes) -> list[bytes]:
    return [message for i in range(len(data)) for message in framer.feed(data[i : i + 1])]


@pytest.mark.parametrize("case", STREAMED, ids=name)
def test_whole(case: Good) -> None:
    [message] = StreamFramer().feed(case.data)
    assert_reads(parse_message(message, stream=True), case.expected)


@pytest.mark.parametrize("case", STREAMED, ids=name)
def test_byte_by_byte(case: Good) -> None:
    framer = StreamFramer()
    assert [*byte_by_byte(framer, case.data[:-1])] == []
    [message] = framer.feed(case.data[-1:])
    assert_reads(parse_message(message, stream=True), case.expected)


@pytest.mark.parametrize("case", STREAMED, ids=name)
def test_with_bytes_of_the_next_message_behind(case: Good) -> None:
    framer = StreamFramer()
    [message] = framer.feed(case.data + request()[:30])
    assert_reads(parse_message(message, stream=True), case.expected)
    assert framer.feed(request()[30:]) == [request()]


def test_all_in_one_go_and_byte_by_byte() -> None:
    data = b"".join(case.data for case in STREAMED)
    whole = StreamFramer().feed(data)
    assert len(whole) == len(STREAMED)
    assert byte_by_byte(StreamFramer(), data) == whole
    for message, case in zip(whole, STREAMED, strict=True):
        assert_reads(parse_message(message, stream=True), case.expected)


@pytest.mark.parametrize("case", BAD, ids=name)
@pytest.mark.parametrize("piecewise", [False, True], ids=["whole", "byte by byte"])
def test_bad_streams_have_a_named_reason(case: Bad, piecewise: bool) -> None:
    framer = StreamFramer()
    if case.stream_reason is None:
        assert (byte_by_byte(framer, case.data) if piecewise else framer.feed(case.data)) == []
        return
    with pytest.raises(MessageError) as caught:
        for message in byte_by_byte(framer, case.data) if piecewise else framer.feed(case.data):
            parse_message(message, stream=True)
    assert caught.value.reason == case.stream_reason


def test_what_was_complete_before_the_stream_broke_comes_out() -> None:
    framer = StreamFramer()
    assert framer.feed(request() + request(more=b"")) == [request()]
    assert framer.error is not None and framer.error.reason == "missing_content_length"
    with pytest.raises(MessageError):
        framer.feed(request())


def test_a_broken_stream_stays_broken() -> None:
    framer = StreamFramer()
    for _ in range(2):
        with pytest.raises(MessageError):
            framer.feed(b"\0")


@pytest.mark.parametrize("piecewise", [False, True], ids=["whole", "byte by byte"])
def test_keep_alives_between_messages_are_counted(piecewise: bool) -> None:
    framer = StreamFramer()
    feed = (lambda data: byte_by_byte(framer, data)) if piecewise else framer.feed
    assert feed(b"\r\n") == [] and framer.pongs == 0
    assert feed(request()) == [request()] and framer.pongs == 0
    assert feed(b"\r\n\r\n") == [] and framer.pongs == 1
    assert feed(b"\r\n\r\n\r\n\r\n") == [] and framer.pongs == 3
    body = request(more=b"l: 8\r\n", body=b"\r\n" * 4)
    assert feed(b"\r\n" + body + b"\r\n") == [body] and framer.pongs == 3


def test_the_limit_of_a_message_is_checked_before_its_body_comes() -> None:
    data = request(more=b"l: 1000\r\n", body=b"x" * 1000)
    assert StreamFramer(max_message=len(data)).feed(data) == [data]
    with pytest.raises(MessageError) as caught:
        StreamFramer(max_message=len(data) - 1).feed(data[:-1000])
    assert caught.value.reason == "too_large"


@settings(deadline=None)
@given(st.lists(st.integers(0, len(STREAMED) - 1), max_size=5), st.lists(st.integers(1, 400), max_size=40))
def test_pieces_of_any_size_give_the_same_messages(order: list[int], sizes: list[int]) -> None:
    data = b"".join(STREAMED[i].data for i in order)
    framer, messages, position = StreamFramer(), [], 0
    for size in [*sizes, len(data)]:
        messages += framer.feed(data[position : position + size])
        position += size
    assert messages == [STREAMED[i].data.lstrip(b"\r\n") for i in order]
