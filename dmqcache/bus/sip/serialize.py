"""Requests and replies to bytes.

Owns the order of headers that Kamailio of every version reads well, and the rules by which a reply copies its
request (RFC 3261 section 8.2.6, 18.2.1; RFC 3581 section 4). What goes into a message is the bus's business.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from dmqcache.bus.sip.headers import Answerable, MessageError, NameAddr, split_list
from dmqcache.bus.sip.uri import Endpoint

#: Reason phrases (RFC 3261 section 21; 202 is RFC 6665's, for a channel without a handler).
REASONS: Mapping[int, str] = {
    100: "Trying",
    200: "OK",
    202: "Accepted",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    413: "Request Entity Too Large",
    415: "Unsupported Media Type",
    420: "Bad Extension",
    481: "Call/Transaction Does Not Exist",
    500: "Server Internal Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    505: "Version Not Supported",
    513: "Message Too Large",
}

#: Statuses for a request that may lack what its answer would copy.
BROKEN = frozenset({400, 505})
#: What a header may end with that is no parameter yet: a further one must not follow two semicolons.
_NO_PARAM = "; \t"
_COMPACT = (
    (b"\r\nVia: ", b"\r\nv: "),
    (b"\r\nTo: ", b"\r\nt: "),
    (b"\r\nFrom: ", b"\r\nf: "),
    (b"\r\nCall-ID: ", b"\r\ni: "),
    (b"\r\nContent-Length: ", b"\r\nl: "),
    (b"\r\nContent-Type: ", b"\r\nc: "),
    (b"\r\nSupported: ", b"\r\nk: "),
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]++")
# Quoted values come first, so that nothing inside one is taken for a parameter.
_VIA_SOURCE = re.compile(
    r'"(?:[^"\\]|\\.?)*+"?|;[ \t]*+(received|rport)[ \t]*+(?:=[ \t]*+[^;,\s"]*+)?[ \t]*+(?=;|$)',
    re.IGNORECASE,
)


class Author(NamedTuple):
    """What one sender writes into each of its requests."""

    #: ``host:port`` of our Via, IPv6 in brackets.
    sent_by: str
    from_tag: str
    #: Empty: no such header.
    user_agent: str = ""
    #: Further headers.
    extra: Sequence[tuple[str, str]] = ()


class Draft(NamedTuple):
    """One request before it is written."""

    method: str
    uri: str
    from_uri: str
    to_uri: str
    #: ``udp``, ``tcp`` or ``tls``.
    transport: str
    branch: str
    call_id: str
    cseq: int
    max_forwards: int
    content_type: str
    body: bytes


class DraftReply(NamedTuple):
    """One reply before it is written."""

    status: int
    #: Empty: the usual phrase.
    reason: str = ""
    body: bytes = b""
    #: Empty, or no body: no such header.
    content_type: str = ""
    #: Added to a To that has none.
    to_tag: str = ""
    #: Empty: no such header.
    server: str = ""
    #: Further headers.
    extra: Sequence[tuple[str, str]] = ()


def build_request(author: Author, draft: Draft) -> bytes:
    """One request.

    Content-Length stands before From, because Kamailio up to 6.0 parses no further in
    ``dmq_process_message``. Raises ValueError when a value carries a line end or a NUL.
    """
    sent_by, from_tag, user_agent, extra = author
    method, uri, from_uri, to_uri, transport, branch, call_id, cseq, hops, content_type, body = draft
    agent = f"User-Agent: {user_agent}\r\n" if user_agent else ""
    more = "".join([f"{name}: {value}\r\n" for name, value in extra]) if extra else ""
    head = (
        f"{method} {uri} SIP/2.0\r\n"
        f"Via: SIP/2.0/{transport.upper()} {sent_by};branch={branch}\r\n"
        f"To: <{to_uri}>\r\n"
        f"Content-Length: {len(body)}\r\n"
        f"From: <{from_uri}>;tag={from_tag}\r\n"
        f"CSeq: {cseq} {method}\r\n"
        f"Call-ID: {call_id}\r\n"
        f"{agent}"
        f"Max-Forwards: {hops}\r\n"
        f"Content-Type: {content_type}\r\n"
        f"{more}\r\n"
    )
    lines = 10 + len(extra) + (1 if user_agent else 0)
    if head.count("\n") != lines or head.count("\r") != lines or "\0" in head:
        raise ValueError("a value of a SIP header must not contain a line end or a NUL")
    return head.encode("utf-8", "surrogateescape") + body


def build_response(request: Answerable, draft: DraftReply, received: Endpoint | None = None) -> bytes:
    """The reply to a request: its Vias, From, To, Call-ID and CSeq copied.

    ``received`` is where the request came from: it is noted in the top Via where the Via says otherwise, or
    asks with ``rport``. Never raises for a request that was parsed: control characters in a phrase or a value
    become spaces.
    """
    status, reason, body, content_type, to_tag, server, extra = draft
    headers = request.headers
    vias = headers.get_all("via")
    if received is not None:
        vias[0] = _with_source(vias[0], request, received)
    via_lines = f"Via: {vias[0]}\r\n" if len(vias) == 1 else "".join([f"Via: {via}\r\n" for via in vias])
    agent = f"Server: {clean(server)}\r\n" if server else ""
    media = f"Content-Type: {clean(content_type)}\r\n" if body and content_type else ""
    more = "".join([f"{clean(name)}: {clean(value)}\r\n" for name, value in extra]) if extra else ""
    head = (
        f"SIP/2.0 {status} {clean(reason or REASONS.get(status, 'Unknown'))}\r\n"
        f"{via_lines}"
        f"To: {_with_tag(headers.get('to'), to_tag)}\r\n"
        f"Content-Length: {len(body)}\r\n"
        f"From: {headers.get('from')}\r\n"
        f"CSeq: {headers.get('cseq')}\r\n"
        f"Call-ID: {headers.get('call-id')}\r\n"
        f"{agent}{media}{more}\r\n"
    )
    if status in BROKEN:
        head = _without_empty_lines(head)
    return head.encode("utf-8", "surrogateescape") + body


def compact(message: bytes) -> bytes:
    """A message of :func:`build_request` or :func:`build_response` with its headers under their compact names
    (RFC 3261 section 7.3.3), which every reader knows."""
    head, end, body = message.partition(b"\r\n\r\n")
    for name, short in _COMPACT:
        head = head.replace(name, short)
    return head + end + body


def _without_empty_lines(head: str) -> str:
    """A broken request may lack what its answer would copy."""
    for name in ("To", "From", "CSeq", "Call-ID"):
        head = head.replace(f"\r\n{name}: \r\n", "\r\n", 1)
    return head


def clean(text: str) -> str:
    """A value without control characters: spaces stand for them."""
    return text if text.isascii() and text.isprintable() else _CONTROL.sub(" ", text)


def _with_tag(to: str, tag: str) -> str:
    if not tag or not to:
        return to
    # A To that ends with its bracket has no parameters: the usual case, and it needs no parsing.
    if to[-1:] != ">":
        try:
            if NameAddr.parse(to, "bad_to").tag:
                return to
        except MessageError:
            pass  # an unreadable To is given back as it came
    return f"{to.rstrip(_NO_PARAM)};tag={tag}"


def _with_source(line: str, request: Answerable, source: Endpoint) -> str:
    """The Via line with where its message really came from (RFC 3261 section 18.2.1, RFC 3581 section 4)."""
    try:
        via = request.via
    except MessageError:
        return line
    params = via.params
    if via.host == source.host and "rport" not in params and "received" not in params:
        return line
    top, *others = split_list(line)
    # A received that the sender wrote itself must not stand: the reply's way depends on it.
    top = _VIA_SOURCE.sub(lambda found: _own_source(found, source), top)
    if via.host != source.host or "rport" in params:
        top = f"{top.rstrip(_NO_PARAM)};received={source.host}"
    return ", ".join([top, *others])


def _own_source(found: re.Match[str], source: Endpoint) -> str:
    name = (found.group(1) or "").lower()
    if not name:
        return found.group()
    return f";rport={source.port}" if name == "rport" else ""
