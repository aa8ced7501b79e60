"""What of a message is signed: everything that it means to its receiver, as both sides see it.

A request's start line, From, Call-ID, CSeq, branch, hops, Content-Type, Supported and body; of a reply the
status, Content-Type, Supported and body, since it signs its request's signature too. Not the rest of a Via:
a proxy may add to it, a repetition counts in it, and nothing but the reply's way depends on it.
"""

from __future__ import annotations

from collections.abc import Sequence

from dmqcache.bus.sip.serialize import Author, Draft, clean
from dmqcache.bus.sip.sip_message import SipMessage, SipRequest, SipResponse
from dmqcache.bus.trust.signature import Signed

#: What a parsed header's value has not got at its ends.
_BLANK = " \t"


def of_request(request: SipRequest) -> Signed:
    """A request that came. MessageError ``bad_via`` if its Via cannot be read."""
    get = request.headers.get
    return Signed(
        (
            f"{request.method} {request.uri}",
            get("from"),
            get("call-id"),
            get("cseq"),
            request.via.branch,
            get("max-forwards"),
            get("content-type"),
            _all_supported(request),
        ),
        request.body,
    )


def of_draft(author: Author, draft: Draft) -> Signed:
    """A request that is to be written."""
    return Signed(
        (
            f"{draft.method} {draft.uri}",
            f"<{draft.from_uri}>;tag={author.from_tag}",
            draft.call_id,
            f"{draft.cseq} {draft.method}",
            draft.branch.partition(";")[0],
            str(draft.max_forwards),
            draft.content_type.strip(_BLANK),
            _supported(author.extra),
        ),
        draft.body,
    )


def of_response(response: SipResponse) -> Signed:
    """A reply that came."""
    get = response.headers.get
    return Signed((str(response.status), get("content-type"), _all_supported(response)), response.body)


def of_reply(status: int, content_type: str, body: bytes, extra: Sequence[tuple[str, str]]) -> Signed:
    """A reply that is to be written, with these further headers."""
    media = clean(content_type).strip(_BLANK) if body else ""
    return Signed((str(status), media, _supported(extra)), body)


def _all_supported(message: SipMessage) -> str:
    """All that :attr:`SipMessage.supported` reads."""
    return ", ".join(message.headers.get_all("supported"))


def _supported(headers: Sequence[tuple[str, str]]) -> str:
    return next((value for name, value in headers if name == "Supported"), "")
