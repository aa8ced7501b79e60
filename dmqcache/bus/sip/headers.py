"""SIP headers: their names, their store, and the few values of them that the bus reads.

Owns the header grammar of RFC 3261 section 20 and 25.1 as far as DMQ needs it, and :class:`MessageError` with
its named reasons. Start lines, bodies and limits of whole messages are ``sip_message.py``'s.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol

from dmqcache.bus.sip.uri import DEFAULT_PORT, DEFAULT_TLS_PORT, Endpoint, normal_host, parse_port

#: Why a message is not taken, by the name under which the drop is counted.
REASONS_FOR_DROP: Mapping[str, str] = {
    "keep_alive": "nothing but line ends or zeros, as NAT keep-alives are",
    "too_large": "more bytes than a datagram, or a message of a stream, may have",
    "head_too_large": "a start line, header line or head over its limit",
    "too_many_headers": "more header lines than the limit",
    "not_sip": "the first line is neither a SIP request nor a reply",
    "bad_version": "another version of SIP than 2.0",
    "bad_start_line": "a method, Request-URI or status code that is none",
    "truncated_head": "no empty line after the headers",
    "bad_header": "a header line without a name and colon, or with a NUL or a lone CR in it",
    "missing_header": "no Via, From, To, Call-ID or CSeq",
    "duplicate_header": "two of a header that may stand once",
    "bad_cseq": "CSeq is not a 32-bit number and the request's method",
    "bad_content_length": "Content-Length is no number, or two that differ",
    "missing_content_length": "no Content-Length on a stream, where nothing else ends a body",
    "truncated_body": "fewer bytes of body than Content-Length says",
    "bad_via": "a Via that cannot be read",
    "bad_from": "a From that cannot be read",
    "bad_to": "a To that cannot be read",
}

#: Compact forms (RFC 3261 section 7.3.3 and IANA's table of header fields).
COMPACT_NAMES: Mapping[str, str] = {
    "a": "accept-contact",
    "b": "referred-by",
    "c": "content-type",
    "d": "request-disposition",
    "e": "content-encoding",
    "f": "from",
    "i": "call-id",
    "j": "reject-contact",
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "n": "identity-info",
    "o": "event",
    "r": "refer-to",
    "s": "subject",
    "t": "to",
    "u": "allow-events",
    "v": "via",
    "x": "session-expires",
    "y": "identity",
}
#: Largest CSeq: RFC 3261 section 8.1.1.5 has senders stay below 2**31; a reader loses nothing by 32 bits.
MAX_CSEQ = 2**32 - 1
_USUAL_NAMES = """Via To From CSeq Call-ID Content-Length User-Agent Server Max-Forwards Content-Type
Supported Contact DMQ-Signature"""
#: Spellings that need no work: the usual ones and the compact ones.
KNOWN_NAMES: Mapping[str, str] = {**{name: name.lower() for name in _USUAL_NAMES.split()}, **COMPACT_NAMES}

_TOKEN = r"[A-Za-z0-9\-.!%*_+`'~]"
TOKEN = re.compile(rf"{_TOKEN}++")
_QUOTED = r'"(?:[^"\\]|\\.)*+"'
# A quote that is never closed takes the rest, so that a hostile list costs one pass.
_VALUE = re.compile(r'(?:[^,"<]++|"(?:[^"\\]|\\.?)*+(?:"|$)|<[^<>]*+>|<)++', re.DOTALL)
_PARAM = re.compile(
    rf"[ \t]*+({_TOKEN}++)[ \t]*+(?:=[ \t]*+({_QUOTED}|[^;\"<> \t,]*+))?[ \t]*+(?:;|$)", re.DOTALL
)
_VIA = re.compile(
    # The second form: Kamailio 6.2 with sl_send=1 leaves its transport out.
    rf"SIP[ \t]*+/[ \t]*+2\.0[ \t]*+/(?:[ \t]*+({_TOKEN}++)[ \t]++|[ \t]++)"
    r"(\[[0-9A-Fa-f:.]++\]|[A-Za-z0-9_.-]++)[ \t]*+(?::[ \t]*+([0-9]++)[ \t]*+)?(?:;(.*+))?",
    re.IGNORECASE | re.DOTALL,
)
_NAME_ADDR = re.compile(
    rf'[ \t]*+(?:({_QUOTED})|([^"<>]*+))[ \t]*+<[ \t]*+([^<> \t]++)[ \t]*+>[ \t]*+(?:;(.*+))?', re.DOTALL
)
_ADDR_SPEC = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*+:[^;<>\" \t,]++)[ \t]*+(?:;(.*+))?", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


class MessageError(ValueError):
    """Bytes that are no SIP message that we take."""

    def __init__(self, reason: str, detail: str = "") -> None:
        meaning = REASONS_FOR_DROP[reason]
        super().__init__(f"{meaning}: {detail[:120]!r}" if detail else meaning)
        #: A key of :data:`REASONS_FOR_DROP`: what the drop is counted as.
        self.reason = reason
        #: The request without its body, where its head was good enough for a 400; else None.
        self.request: Answerable | None = None


class Answerable(Protocol):
    """The part of a request that its reply needs: ``message.SipRequest`` has it."""

    headers: Headers

    @property
    def via(self) -> Via:
        """The top Via. May raise :class:`MessageError` ``bad_via``."""


class Headers:
    """The headers of one message: names in any case, several values of one name in order.

    A folded line is unfolded, a compact name stands under its full one; a value is otherwise as it came.
    """

    __slots__ = ("by_name",)

    def __init__(self, values: dict[str, list[str]]) -> None:
        """``values``: full names in lower case; the dictionary is kept, not copied."""
        #: Every line's value by full name in lower case, for those who need many.
        self.by_name = values

    def get(self, name: str, default: str = "") -> str:
        """The first value of ``name``."""
        values = self.by_name.get(name) or self.by_name.get(full_name(name))
        return values[0] if values else default

    def get_all(self, name: str) -> list[str]:
        """Every header line of ``name`` in order; a line may itself be a list with commas."""
        values = self.by_name.get(name) or self.by_name.get(full_name(name))
        return list(values) if values else []

    def drop(self, name: str) -> None:
        """Forget every line of ``name``."""
        self.by_name.pop(full_name(name), None)

    def __contains__(self, name: str) -> bool:
        return full_name(name) in self.by_name

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """(name in lower case, value) of each line, lines of one name together."""
        return ((name, value) for name, values in self.by_name.items() for value in values)

    def __len__(self) -> int:
        return sum(map(len, self.by_name.values()))

    def __repr__(self) -> str:
        return f"Headers({self.by_name!r})"


class Via(NamedTuple):
    """One hop of the way back (RFC 3261 section 20.42)."""

    #: In lower case: ``udp``, ``tcp``, ``tls`` or another; empty where it is left out.
    transport: str
    #: Canonical, without brackets.
    host: str
    #: None where it is left out: then the transport's default.
    port: int | None
    params: Mapping[str, str]

    @property
    def branch(self) -> str:
        """The transaction's identifier; empty from an RFC 2543 sender."""
        return self.params.get("branch", "")

    @classmethod
    def parse(cls, text: str) -> Via:
        """Read one Via value. Raises :class:`MessageError` ``bad_via``."""
        match = _VIA.fullmatch(text.strip(" \t"))
        if match is None:
            raise MessageError("bad_via", text)
        transport, host, port, params = match.groups()
        try:
            number = parse_port(port) if port else None
            return cls((transport or "").lower(), normal_host(host), number, parse_params(params or ""))
        except ValueError as error:
            raise MessageError("bad_via", text) from error


class NameAddr(NamedTuple):
    """A From or To (RFC 3261 section 20.20 and 20.39)."""

    #: The URI's text without its angle brackets, not yet parsed.
    uri: str
    params: Mapping[str, str]
    #: The display name without its quotes.
    display: str = ""

    @property
    def tag(self) -> str:
        """The header's tag; empty where there is none."""
        return self.params.get("tag", "")

    @classmethod
    def parse(cls, text: str, reason: str = "bad_from") -> NameAddr:
        """Read ``"Name" <uri>;params``, ``Name <uri>``, ``<uri>`` or ``uri;params``: without brackets the
        parameters are the header's, not the URI's. Raises :class:`MessageError` with ``reason``."""
        match = _NAME_ADDR.fullmatch(text)
        if match is not None:
            quoted, plain, uri, params = match.groups()
            display = _ESCAPE.sub(r"\1", quoted[1:-1]) if quoted else plain.strip(" \t")
        else:
            match = _ADDR_SPEC.fullmatch(text.strip(" \t"))
            if match is None:
                raise MessageError(reason, text)
            uri, params = match.groups()
            display = ""
        try:
            return cls(uri.strip(" \t"), parse_params(params or ""), display)
        except ValueError as error:
            raise MessageError(reason, text) from error


class CSeq(NamedTuple):
    """The number and method of a transaction (RFC 3261 section 20.16)."""

    number: int
    method: str

    @classmethod
    def parse(cls, text: str) -> CSeq:
        """Raises :class:`MessageError` ``bad_cseq``."""
        parts = text.split()
        if len(parts) == 2:
            digits, method = parts
            # Ten digits hold 32 bits; a longer text is refused before int() could spend time on it.
            if len(digits) <= 10 and digits.isdigit() and digits.isascii():
                number = int(digits)
                if number <= MAX_CSEQ:
                    return cls(number, method)
        raise MessageError("bad_cseq", text)


def full_name(name: str) -> str:
    """The key of a header name: its full form in lower case."""
    name = name.lower()
    return COMPACT_NAMES.get(name, name)


def split_list(text: str) -> list[str]:
    """The values of a header that may be a list: split at commas outside quotes and angle brackets."""
    if "," not in text:
        return [text]
    parts = _VALUE.findall(text) if '"' in text or "<" in text else text.split(",")
    return [part for part in (part.strip(" \t") for part in parts) if part]


def parse_params(text: str) -> dict[str, str]:
    """``a=1;b;c="x;y"`` as a mapping: names in lower case, quotes removed, the first of a name wins.

    Raises ValueError when the text is none.
    """
    params: dict[str, str] = {}
    position = 0
    while position < len(text):
        match = _PARAM.match(text, position)
        if match is None:
            raise ValueError(f"not parameters: {text[position : position + 80]!r}")
        name, value = match.groups()
        if value is None:
            value = ""
        elif value[:1] == '"':
            value = _ESCAPE.sub(r"\1", value[1:-1])
        params.setdefault(name.lower(), value)
        position = match.end()
    return params


def reply_endpoint(via: Via, source: Endpoint, connected: bool = True) -> Endpoint:
    """Where the reply to a request with this top Via goes (RFC 3261 section 18.2.2, RFC 3581 section 4).

    A connection is answered on itself or, when it is gone (not ``connected``), on another to the port in the
    Via: at its far end's own port nobody listens. A datagram is answered to the address that it came from, at
    the port in its Via, or at its own source port when the Via asks for that with ``rport``. ``maddr`` is not
    followed: it would let anybody aim our replies at somebody else.
    """
    to_source = "rport" in via.params if source.transport == "udp" else connected
    if to_source:
        return source
    default = DEFAULT_TLS_PORT if (via.transport or source.transport) == "tls" else DEFAULT_PORT
    return Endpoint(source.transport, source.host, via.port or default)
