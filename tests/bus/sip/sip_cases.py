"""One list of messages, good and bad, for the datagram parser and the stream framer alike."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dmqcache.bus.sip.sip_message import SipMessage, SipRequest, SipResponse

#: The headers of an ordinary request, for cases that are about something else.
PLAIN = (
    b"Via: SIP/2.0/UDP 127.0.0.12:5060;branch=z9hG4bK1\r\n"
    b"From: <sip:htable@127.0.0.12:5060>;tag=f\r\n"
    b"To: <sip:htable@127.0.0.11:5060>\r\n"
    b"Call-ID: c1\r\n"
    b"CSeq: 10 KDMQ\r\n"
)
START = b"KDMQ sip:htable@127.0.0.11:5060 SIP/2.0\r\n"


def request(headers: bytes = PLAIN, more: bytes = b"Content-Length: 0\r\n", body: bytes = b"") -> bytes:
    """An ordinary request, with one part replaced."""
    return START + headers + more + b"\r\n" + body


def without(name: bytes) -> bytes:
    """PLAIN without one header."""
    return b"".join(line for line in PLAIN.splitlines(True) if not line.startswith(name + b":"))


def replaced(name: bytes, line: bytes) -> bytes:
    """PLAIN with one header's line replaced."""
    return without(name) + line


@dataclass(frozen=True)
class Good:
    """A message and what must be read from it: attribute path -> value."""

    name: str
    data: bytes
    expected: dict[str, Any] = field(default_factory=dict)
    #: Without Content-Length a stream cannot be cut.
    stream: bool = True


@dataclass(frozen=True)
class Bad:
    """Bytes and the reasons for which the datagram parser and the stream refuse them. A stream reason of
    None: the stream only waits for more, as it must."""

    name: str
    data: bytes
    reason: str
    stream_reason: str | None


def same(name: str, data: bytes, reason: str) -> Bad:
    return Bad(name, data, reason, reason)


COMPACT = (
    b"KDMQ sip:htable@127.0.0.11 SIP/2.0\r\n"
    b"v: SIP/2.0/UDP proxy.example.com;branch=z9hG4bKp, SIP/2.0/TCP [2001:DB8::9]:5070;branch=z9hG4bKq\r\n"
    b"V: SIP/2.0/UDP 10.0.0.9\r\n"
    b'f: "A, \\"B\\" <x>" <sip:htable@[2001:db8::1]:5080;transport=tcp>;TAG=a1;x="y;z"\r\n'
    b"t: sip:htable@127.0.0.11;tag=t1\r\n"
    b"i: abc@host\r\n"
    b"CSEQ: 0000000007 KDMQ\r\n"
    b"k: Dmqcache-1, 100rel\r\n"
    b"supported: path\r\n"
    b"c: Application / JSON ; charset=utf-8\r\n"
    b"l: 3\r\n"
    b"\r\n"
    b"\x00\xff\n"
)
FOLDED = (
    b"KDMQ sip:htable@127.0.0.11 SIP/2.0\r\n"
    b"Via  :\tSIP  / 2.0\r\n /  UDP\r\n\t127.0.0.12 : 5061\r\n"
    b" ; Branch = z9hG4bKf  ;\r\n rport ;received=[::1]\r\n"
    b"FROM:\r\n  Kamailio node\r\n\t<sip:htable@127.0.0.12>\r\n ;\r\n tag = f2  \r\n"
    b"to : <sip:htable@127.0.0.11>\r\n"
    b"Call-ID:\r\n folded-id\r\n \r\n"
    b"CSeq:  4294967295\r\n\tKDMQ\r\n"
    b"Max-Forwards: 0068\r\n"
    b"User-Agent: a\r\n   b\r\n"
    b"Content-Length:\r\n 2\r\n"
    b"\r\n"
    b"ok"
)
REPLY = (
    b"SIP/2.0 404 Not Found Peer ID\r\n"
    b"Via: SIP/2.0/TCP [::1]:5060;branch=z9hG4bK2;received=::1\r\n"
    b"Via: SIP/2.0/UDP b.example.com\r\n"
    b"From: sip:htable@127.0.0.11;tag=1\r\n"
    b"To: <sip:htable@127.0.0.12>;tag=2\r\n"
    b"Call-ID: c\r\nCSeq: 1 KDMQ\r\nServer: kamailio (6.2.0-dev1 (x86_64/linux))\r\nContent-Length: 0\r\n\r\n"
)

GOOD = [
    Good(
        "plain",
        request(more=b"Content-Length: 4\r\nMax-Forwards: 2\r\n", body=b"\r\n\r\n"),
        {
            "method": "KDMQ",
            "uri": "sip:htable@127.0.0.11:5060",
            "body": b"\r\n\r\n",
            "cseq": (10, "KDMQ"),
            "call_id": "c1",
            "max_forwards": 2,
            "via.transport": "udp",
            "via.host": "127.0.0.12",
            "via.port": 5060,
            "via.branch": "z9hG4bK1",
            "from_.uri": "sip:htable@127.0.0.12:5060",
            "from_.tag": "f",
            "to.uri": "sip:htable@127.0.0.11:5060",
            "to.tag": "",
            "content_type": "",
            "user_agent": "",
            "supported": frozenset(),
        },
    ),
    Good(
        "compact names, several Vias in one header, quoted strings, IPv6",
        COMPACT,
        {
            "body": b"\x00\xff\n",
            "vias": [
                "SIP/2.0/UDP proxy.example.com;branch=z9hG4bKp",
                "SIP/2.0/TCP [2001:DB8::9]:5070;branch=z9hG4bKq",
                "SIP/2.0/UDP 10.0.0.9",
            ],
            "via.host": "proxy.example.com",
            "via.port": None,
            "from_.display": 'A, "B" <x>',
            "from_.uri": "sip:htable@[2001:db8::1]:5080;transport=tcp",
            "from_.tag": "a1",
            "from_.params": {"tag": "a1", "x": "y;z"},
            "to.uri": "sip:htable@127.0.0.11",
            "to.tag": "t1",
            "call_id": "abc@host",
            "cseq": (7, "KDMQ"),
            "supported": frozenset(("dmqcache-1", "100rel", "path")),
            "content_type": "application/json",
            "max_forwards": 0,
        },
    ),
    Good(
        "folded lines and white space",
        FOLDED,
        {
            "body": b"ok",
            "via.transport": "udp",
            "via.host": "127.0.0.12",
            "via.port": 5061,
            "via.params": {"branch": "z9hG4bKf", "rport": "", "received": "[::1]"},
            "from_.display": "Kamailio node",
            "from_.tag": "f2",
            "call_id": "folded-id",
            "cseq": (4294967295, "KDMQ"),
            "max_forwards": 68,
            "user_agent": "a b",
        },
    ),
    Good(
        "a reply",
        REPLY,
        {
            "status": 404,
            "reason": "Not Found Peer ID",
            "via.transport": "tcp",
            "via.host": "::1",
            "via.params": {"branch": "z9hG4bK2", "received": "::1"},
            "user_agent": "kamailio (6.2.0-dev1 (x86_64/linux))",
            "from_.tag": "1",
            "to.tag": "2",
            "body": b"",
        },
    ),
    Good(
        "a reply without a phrase", REPLY.replace(b" Not Found Peer ID", b""), {"status": 404, "reason": ""}
    ),
    Good(
        "a reply with an empty phrase",
        REPLY.replace(b"Not Found Peer ID", b""),
        {"status": 404, "reason": ""},
    ),
    Good(
        "a reply whose phrase looks like a request's end",
        REPLY.replace(b"Not Found Peer ID", b"SIP/2.0"),
        {"status": 404, "reason": "SIP/2.0"},
    ),
    Good(
        "version in lower case", request().replace(b"SIP/2.0\r\nVia", b"sip/2.0\r\nVia"), {"method": "KDMQ"}
    ),
    Good(
        "line ends of LF alone",
        request(more=b"Content-Length: 6\r\nX: a\r\n b\r\n").replace(b"\r\n", b"\n") + b"a\r\n\r\nb",
        {"body": b"a\r\n\r\nb", "call_id": "c1", "cseq": (10, "KDMQ")},
    ),
    Good(
        "mixed line ends",
        request(more=b"Content-Length: 5\r\n").replace(b"Call-ID: c1\r\n", b"Call-ID: c1\n") + b"\n\n\n\n\n",
        {"body": b"\n\n\n\n\n", "call_id": "c1"},
    ),
    Good(
        "an empty line of LF alone before a body that begins with CRLF",
        request(more=b"Content-Length: 4\r\n")[:-2] + b"\n\r\n\r\n",
        {"body": b"\r\n\r\n"},
    ),
    Good("line ends before the start line", b"\r\n\r\n\r\n" + request(), {"method": "KDMQ"}),
    Good("equal Content-Lengths", request(more=b"l: 1\r\nContent-Length: 1\r\n", body=b"x"), {"body": b"x"}),
    Good("zeros before a length", request(more=b"l: %s3\r\n" % (b"0" * 5000), body=b"abc"), {"body": b"abc"}),
    Good("unknown headers", request(more=b'X-Y!: ;;,,"<\r\nEmpty:\r\nl: 0\r\n'), {"call_id": "c1"}),
    Good(
        "bytes that are no UTF-8",
        request(more=b"User-Agent: \xff\xc3\xa9\r\nl: 0\r\n"),
        {"user_agent": "\udcff\xe9"},
    ),
    Good("no Content-Length", request(more=b"", body=b"all of it"), {"body": b"all of it"}, stream=False),
]

DIGITS = b"9" * 5000
BAD = [
    Bad("nothing", b"", "keep_alive", None),
    Bad("a CRLF", b"\r\n", "keep_alive", None),
    Bad("a ping", b"\r\n\r\n", "keep_alive", None),
    Bad("zeros as NAT keep-alives are", b"\0\0\0\0", "keep_alive", "not_sip"),
    same("binary", bytes(range(128, 256)) * 3, "not_sip"),
    Bad("text", b"hello\r\n\r\n", "not_sip", "missing_content_length"),
    Bad("HTTP", b"GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", "not_sip", "not_sip"),
    same("a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "not_sip"),
    Bad("a head without its end", request()[:-2], "truncated_head", None),
    Bad("half a start line", START[:20], "not_sip", None),
    same("SIP 3", request().replace(b"SIP/2.0\r\nVia", b"SIP/3.0\r\nVia"), "bad_version"),
    same("a reply of SIP 7", REPLY.replace(b"SIP/2.0 404", b"SIP/7.0 404"), "bad_version"),
    same("two spaces in the start line", request().replace(b"KDMQ ", b"KDMQ  "), "bad_start_line"),
    same("a space after the version", request().replace(b" SIP/2.0\r\n", b" SIP/2.0 \r\n"), "bad_start_line"),
    same("a method that is no token", request().replace(b"KDMQ ", b"K@MQ "), "bad_start_line"),
    same("a status of four digits", REPLY.replace(b"404", b"4040"), "bad_start_line"),
    same("a status of other digits", REPLY.replace(b"404", "٤٠٤".encode()), "bad_start_line"),
    same("a status of 700", REPLY.replace(b"404", b"700"), "bad_start_line"),
    same("a status of 042", REPLY.replace(b"404", b"042"), "bad_start_line"),
    same("a header without colon", request(more=b"nonsense\r\nl: 0\r\n"), "bad_header"),
    same("a known name without colon", request(more=b"Server\r\nl: 0\r\n"), "bad_header"),
    same("a header without name", request(more=b": x\r\nl: 0\r\n"), "bad_header"),
    same("a name that is no token", request(more=b"a b: x\r\nl: 0\r\n"), "bad_header"),
    same("a fold of nothing", request(b" folded\r\n" + PLAIN), "bad_header"),
    same("a NUL in a header", request(more=b"Server: a\0b\r\nl: 0\r\n"), "bad_header"),
    same("a lone CR in a header", request(more=b"Server: a\rEvil: b\r\nl: 0\r\n"), "bad_header"),
    *(
        same(f"no {name.decode()}", request(without(name)), "missing_header")
        for name in (b"Via", b"From", b"To", b"Call-ID", b"CSeq")
    ),
    same("an empty Call-ID", request(replaced(b"Call-ID", b"Call-ID: \r\n")), "missing_header"),
    *(
        same(f"two {name.decode()}", request(more=name + b": x\r\nl: 0\r\n"), "duplicate_header")
        for name in (b"from", b"t", b"CALL-ID", b"CSeq")
    ),
    same("two Max-Forwards", request(more=b"Max-Forwards: 1\r\n" * 2 + b"l: 0\r\n"), "duplicate_header"),
    same("CSeq of another method", request(replaced(b"CSeq", b"CSeq: 10 OPTIONS\r\n")), "bad_cseq"),
    same("CSeq without method", request(replaced(b"CSeq", b"CSeq: 10\r\n")), "bad_cseq"),
    same("a negative CSeq", request(replaced(b"CSeq", b"CSeq: -1 KDMQ\r\n")), "bad_cseq"),
    same("CSeq of 5,000 digits", request(replaced(b"CSeq", b"CSeq: " + DIGITS + b" KDMQ\r\n")), "bad_cseq"),
    same("CSeq beyond 32 bits", request(replaced(b"CSeq", b"CSeq: 4294967296 KDMQ\r\n")), "bad_cseq"),
    same("CSeq in other digits", request(replaced(b"CSeq", "CSeq: ١ KDMQ\r\n".encode())), "bad_cseq"),
    same("a negative length", request(more=b"Content-Length: -1\r\n"), "bad_content_length"),
    same("a length of words", request(more=b"Content-Length: ten\r\n"), "bad_content_length"),
    same("an empty length", request(more=b"Content-Length:\r\n"), "bad_content_length"),
    same("a length in other digits", request(more="l: ١\r\n".encode(), body=b"x"), "bad_content_length"),
    same("a signed length", request(more=b"Content-Length: +1\r\n", body=b"x"), "bad_content_length"),
    same(
        "lengths that differ",
        request(more=b"l: 1\r\nContent-Length: 2\r\n", body=b"xx"),
        "bad_content_length",
    ),
    Bad("a length of 5,000 digits", request(more=b"l: " + DIGITS + b"\r\n"), "truncated_body", "too_large"),
    Bad("a length of a terabyte", request(more=b"l: 999999999999\r\n"), "truncated_body", "too_large"),
    Bad("a length of 900 MB", request(more=b"l: 900000000\r\n"), "truncated_body", "too_large"),
    Bad("half a body", request(more=b"l: 10\r\n", body=b"12345"), "truncated_body", None),
    same("129 headers", request(more=b"X: y\r\n" * 123 + b"l: 0\r\n"), "too_many_headers"),
    same("a line of 8,193", request(more=b"X: " + b"y" * 8190 + b"\r\nl: 0\r\n"), "head_too_large"),
    same(
        "a start line of 9,000", request().replace(b"KDMQ sip:", b"KDMQ sip:" + b"x" * 9000), "head_too_large"
    ),
    same(
        "a head of 40,000", request(more=(b"X: " + b"y" * 8000 + b"\r\n") * 5 + b"l: 0\r\n"), "head_too_large"
    ),
    same("a head of 40,000 without end", START + (b"X: " + b"y" * 8000 + b"\r\n") * 5, "head_too_large"),
    Bad(
        "a datagram of 65,536",
        request(more=b"", body=b"x").ljust(65_536, b"x"),
        "too_large",
        "missing_content_length",
    ),
]


def look(message: SipMessage, path: str) -> Any:
    """The value at an attribute path, tuples compared by value."""
    value: Any = message
    for name in path.split("."):
        value = getattr(value, name)
    return value


def assert_reads(message: SipRequest | SipResponse, expected: dict[str, Any]) -> None:
    """Every expected attribute, in one comparison that shows them all when it fails."""
    message.check()
    assert {path: look(message, path) for path in expected} == expected
