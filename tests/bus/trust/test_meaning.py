"""What is signed: a reader sees the same of a message as its writer signed, whatever stands in it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dmqcache.bus.sip.serialize import Author, Draft, DraftReply, build_request, build_response
from dmqcache.bus.sip.sip_message import SipRequest, SipResponse, parse_message
from dmqcache.bus.trust.meaning import of_draft, of_reply, of_request, of_response

AUTHOR = Author("127.0.0.11:5060", "tag", "dmqcache", (("Supported", "dmqcache-2"),))
#: What may stand in a header's value: no line ends, no zeros.
VALUES = st.text(st.characters(blacklist_characters="\r\n\0", blacklist_categories=("Cs",)), max_size=30)


def draft(body: bytes = b"", content_type: str = "text/plain", branch: str = "z9hG4bK1") -> Draft:
    to = "sip:htable@127.0.0.12:5060"
    own = "sip:htable@127.0.0.11:5060"
    return Draft("KDMQ", to, own, to, "udp", branch, "call-1", 7, 1, content_type, body)


def request(author: Author = AUTHOR, **fields: bytes | str) -> SipRequest:
    message = parse_message(build_request(author, draft(**fields)))  # type: ignore[arg-type]
    assert isinstance(message, SipRequest)
    return message


@given(st.binary(max_size=50), VALUES)
def test_a_request_means_to_its_reader_what_its_writer_signed(body: bytes, content_type: str) -> None:
    written = of_draft(AUTHOR, draft(body, content_type))
    message = request(body=body, content_type=content_type)
    assert (of_request(message), message.body) == (written, body)


def test_a_repetition_means_the_same() -> None:
    first, again = (request(branch=f"z9hG4bK1;try={number}") for number in (0, 1))
    assert of_request(first) == of_request(again) == of_draft(AUTHOR, draft(branch="z9hG4bK1;try=0"))


@given(st.sampled_from([200, 202, 404, 500]), st.binary(max_size=50), VALUES)
def test_a_reply_means_to_its_reader_what_its_writer_signed(status: int, body: bytes, media: str) -> None:
    extra = (("Supported", "dmqcache-2"),)
    data = build_response(request(), DraftReply(status, "", body, media, "tag", "dmqcache", extra))
    response = parse_message(data)
    assert isinstance(response, SipResponse)
    assert (of_response(response), response.body) == (of_reply(status, media, body, extra), body)


def test_a_further_option_tag_is_another_meaning() -> None:
    """Whoever reads the tags reads all lines of them."""
    plain = of_request(request())
    more = AUTHOR._replace(extra=(("Supported", "dmqcache-2"), ("Supported", "other")))
    assert of_request(request(more)) != plain
