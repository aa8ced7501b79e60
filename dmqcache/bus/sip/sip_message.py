"""SIP messages: bytes to a request or a reply, and back.

Owns start lines and bodies (RFC 3261 sections 7.1, 7.2 and 18.3). The lines of the head are ``head.py``'s,
values inside headers ``headers.py``'s, writing is ``serialize.py``'s,
cutting a stream into messages is ``stream.py``'s. What a message means is for others to know.
"""

from __future__ import annotations

from dmqcache.bus.sip.head import parse_length, read_headers, split_head
from dmqcache.bus.sip.headers import (
    TOKEN,
    CSeq,
    Headers,
    MessageError,
    NameAddr,
    Via,
    full_name,
    split_list,
)

__all__ = ["MessageError", "SipMessage", "SipRequest", "SipResponse", "parse_message"]

#: Bytes of the largest datagram (the UDP length field's 16 bits).
MAX_DATAGRAM = 65_535

#: The headers of a request that its answer has too.
COPIED = frozenset({"via", "from", "to", "call-id", "cseq"})
#: What a datagram may begin with instead of a start line; empty bytes stand for an empty datagram.
_LEADING = (b"", b"\r", b"\n", b"\0")


class SipMessage:
    """What requests and replies share. The typed views are parsed when first asked for, and raise
    :class:`MessageError` (``bad_via``, ``bad_from``, ``bad_to``) then; :meth:`check` asks for all."""

    __slots__ = ("_from", "_to", "_via", "body", "cseq", "headers")

    def __init__(self, headers: Headers, cseq: CSeq, body: bytes) -> None:
        self.headers = headers
        self.cseq = cseq
        self.body = body
        self._via: Via | None = None
        self._from: NameAddr | None = None
        self._to: NameAddr | None = None

    def check(self) -> None:
        """Parse every view now. Raises :class:`MessageError`; afterwards no view does."""
        self.via, self.from_, self.to  # noqa: B018 (asked for what they raise)

    @property
    def vias(self) -> list[str]:
        """Every Via value as it came, the top one first, also where several share a header line."""
        return [via for line in self.headers.get_all("via") for via in split_list(line)]

    @property
    def via(self) -> Via:
        """The top Via: the hop that the message came over."""
        if self._via is None:
            values = split_list(self.headers.get("via"))
            self._via = Via.parse(values[0] if values else "")
        return self._via

    @property
    def from_(self) -> NameAddr:
        """The From header: on the bus, the sending node and the channel."""
        if self._from is None:
            self._from = NameAddr.parse(self.headers.get("from"), "bad_from")
        return self._from

    @property
    def to(self) -> NameAddr:
        """The To header."""
        if self._to is None:
            self._to = NameAddr.parse(self.headers.get("to"), "bad_to")
        return self._to

    @property
    def call_id(self) -> str:
        """The Call-ID, as it came."""
        return self.headers.get("call-id")

    @property
    def max_forwards(self) -> int:
        """Hops that are left; 0 where the header is missing or no number, at most 255."""
        text = self.headers.get("max-forwards")
        if len(text) <= 10 and text.isdigit() and text.isascii():
            return min(int(text), 255)
        return 0

    @property
    def content_type(self) -> str:
        """``type/subtype`` in lower case without parameters; empty where there is none."""
        media = self.headers.get("content-type").partition(";")[0]
        return "".join(media.split()).lower()

    @property
    def user_agent(self) -> str:
        """The software at the other end, from User-Agent or Server; empty where it hides it."""
        return self.headers.get("user-agent") or self.headers.get("server")

    @property
    def supported(self) -> frozenset[str]:
        """Option tags of all Supported headers, in lower case."""
        lines = self.headers.get_all("supported")
        if not lines:
            return frozenset()
        tags = (tag.strip() for tag in ",".join(lines).split(","))
        return frozenset(tag.lower() for tag in tags if tag)


class SipRequest(SipMessage):
    """A request."""

    __slots__ = ("method", "uri")

    def __init__(self, method: str, uri: str, headers: Headers, cseq: CSeq, body: bytes) -> None:
        super().__init__(headers, cseq, body)
        self.method = method
        #: The Request-URI's text; ``SipURI.parse`` reads it.
        self.uri = uri

    def __repr__(self) -> str:
        return f"<SipRequest {self.method} {self.uri} {self.call_id} {len(self.body)} bytes>"


class SipResponse(SipMessage):
    """A reply."""

    __slots__ = ("reason", "status")

    def __init__(self, status: int, reason: str, headers: Headers, cseq: CSeq, body: bytes) -> None:
        super().__init__(headers, cseq, body)
        #: 100 to 699.
        self.status = status
        #: The phrase, for people only.
        self.reason = reason

    def __repr__(self) -> str:
        return f"<SipResponse {self.status} {self.reason} {self.call_id} {len(self.body)} bytes>"


def parse_message(data: bytes | memoryview, *, stream: bool = False) -> SipRequest | SipResponse:
    """Read one whole message. Raises :class:`MessageError`, and never anything else.

    A datagram's body ends at Content-Length or, without one, with the datagram; what follows is cut off
    (RFC 3261 section 18.3). With ``stream`` the length must be there. Line ends may be LF alone. Where a
    request has at least a Via, the error has as much of it as an answer needs.
    """
    if not isinstance(data, bytes):
        data = bytes(data)
    if len(data) > MAX_DATAGRAM and not stream:
        raise MessageError("too_large", str(len(data)))
    if data[:1] in _LEADING:
        data = _without_leading_line_ends(data)
    lines, start = split_head(data)
    try:
        return _read(data, lines, start, stream)
    except MessageError as error:
        error.request = _answerable(lines)
        raise


def _read(data: bytes, lines: list[str], start: int, stream: bool) -> SipRequest | SipResponse:
    words = lines[0].split(" ", 2)
    is_request = _is_request_line(words)
    status = 0 if is_request else _read_status(words)
    values = read_headers(lines)
    cseq = CSeq.parse(values["cseq"][0])
    if is_request:
        _check_request_line(words, cseq)
    body = _read_body(data, start, values.get("content-length"), stream)
    if is_request:
        return SipRequest(words[0], words[1], Headers(values), cseq, body)
    return SipResponse(status, words[2] if len(words) > 2 else "", Headers(values), cseq, body)


def _answerable(lines: list[str]) -> SipRequest | None:
    """What an answer to a broken request copies (RFC 3261 section 8.2.6), as far as it is there; None: it is
    no request, or has no Via, so that nobody could do anything with an answer."""
    words = lines[0].rstrip(" \t").split(" ")
    if len(words) < 2 or words[-1][:4].upper() != "SIP/" or words[0][:4].upper() == "SIP/":
        return None
    values: dict[str, list[str]] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        key, value = full_name(name.rstrip(" \t")), value.strip(" \t")
        if colon and value and key in COPIED and (key == "via" or key not in values):
            values.setdefault(key, []).append(value)
    if "via" not in values:
        return None
    return SipRequest(words[0], "", Headers(values), CSeq(0, words[0]), b"")


def _without_leading_line_ends(data: bytes) -> bytes:
    # RFC 3261 section 7.5 wants line ends before a start line ignored.
    data = data.lstrip(b"\r\n")
    if not data.strip(b"\0"):
        raise MessageError("keep_alive")
    return data


def _is_request_line(words: list[str]) -> bool:
    return len(words) == 3 and words[2].upper() == "SIP/2.0" and words[0][:4].upper() != "SIP/"


def _check_request_line(words: list[str], cseq: CSeq) -> None:
    method = words[0]
    # isalpha() answers for every usual method without the expression.
    if not words[1] or not ((method.isascii() and method.isalpha()) or TOKEN.fullmatch(method)):
        raise MessageError("bad_start_line", " ".join(words))
    if cseq.method != method:
        raise MessageError("bad_cseq", cseq.method)


def _read_status(words: list[str]) -> int:
    """The status code of a line that is no request line."""
    version = words[0].upper()
    if version == "SIP/2.0" and len(words) > 1:
        code = words[1]
        if len(code) == 3 and code.isdigit() and code.isascii() and "1" <= code[0] <= "6":
            return int(code)
        raise MessageError("bad_start_line", " ".join(words))
    last = words[-1].upper()
    if version[:4] == "SIP/" or (last[:4] == "SIP/" and " " not in last):
        raise MessageError("bad_version", " ".join(words))
    raise MessageError("bad_start_line" if "SIP/" in last else "not_sip", " ".join(words))


def _read_body(data: bytes, start: int, lengths: list[str] | None, stream: bool) -> bytes:
    if lengths is None:
        if stream:
            raise MessageError("missing_content_length")
        return data[start:]
    length = parse_length(lengths)
    if length > len(data) - start:
        raise MessageError("truncated_body", f"{length} of {len(data) - start}")
    return data[start : start + length]
