"""What of a message is signed: everything that it means to its receiver, as both sides see it.

A request's start line, From, Call-ID, CSeq, branch, hops, Content-Type, Supported and body; of a reply the
status, Content-Type, Supported and body, since it signs its request's signature too. Not the rest of a Via:
a proxy may add to it, a repetition counts in it, and nothing but the reply's way depends on it.

Each function gives the lines, none of which holds a line end within; the body is signed as it is. This runs
for each message of a bus with a key, so it looks into headers by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from dmqcache.bus.sip.serialize import Author, Draft, clean
from dmqcache.bus.sip.sip_message import SipRequest, SipResponse

#: What a parsed header's value has not got at its ends.
_BLANK = " \t"
#: A header that is not there.
_NONE: Final = ("",)


def of_request(request: SipRequest) -> str:
    """A request that came. MessageError ``bad_via`` if its Via cannot be read."""
    values = request.headers.by_name
    return (
        f"{request.method} {request.uri}\n"
        f"{values['from'][0]}\n"
        f"{values['call-id'][0]}\n"
        f"{values['cseq'][0]}\n"
        f"{request.via.branch}\n"
        f"{values.get('max-forwards', _NONE)[0]}\n"
        f"{values.get('content-type', _NONE)[0]}\n"
        f"{_all_supported(values)}"
    )


def of_draft(author: Author, draft: Draft) -> str:
    """A request that is to be written."""
    method, uri, from_uri, _, _, branch, call_id, cseq, hops, media, _ = draft
    return (
        f"{method} {uri}\n"
        f"<{from_uri}>;tag={author.from_tag}\n"
        f"{call_id}\n"
        f"{cseq} {method}\n"
        f"{branch.partition(';')[0]}\n"
        f"{hops}\n"
        f"{media.strip(_BLANK)}\n"
        f"{_supported(author.extra)}"
    )


def of_response(response: SipResponse) -> str:
    """A reply that came."""
    values = response.headers.by_name
    return f"{response.status}\n{values.get('content-type', _NONE)[0]}\n{_all_supported(values)}"


def of_reply(status: int, content_type: str, body: bytes, extra: Sequence[tuple[str, str]]) -> str:
    """A reply that is to be written, with these further headers."""
    media = clean(content_type).strip(_BLANK) if body else ""
    return f"{status}\n{media}\n{_supported(extra)}"


def _all_supported(values: Mapping[str, Sequence[str]]) -> str:
    """All that ``SipMessage.supported`` reads."""
    lines = values.get("supported", _NONE)
    return lines[0] if len(lines) == 1 else ", ".join(lines)


def _supported(headers: Sequence[tuple[str, str]]) -> str:
    for name, value in headers:
        if name == "Supported":
            return value
    return ""
