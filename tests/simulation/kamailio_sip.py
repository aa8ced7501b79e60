"""SIP as a Kamailio writes and reads it: requests and replies of KDMQ, and tm's client transactions over UDP.

A codec of its own, so that a mistake of dmqcache's codec is not made on both sides. Written from recordings
of real nodes, against which ``test_kamailio_sip.py`` holds it to the byte. Careless as Kamailio is: it looks
for the headers that it needs, and at nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dmqcache.bus.sip.uri import Endpoint
from tests.simulation.runtime import VirtualRuntime, VirtualTimer

DEFAULT_PORT = 5060
#: tm's timers, in seconds; fr_timer ends it with a 408 of its own.
T1, T2, FR_TIMER = 0.5, 4.0, 30.0
COOKIE = "z9hG4bK"
#: The short names of headers (RFC 3261 section 7.3.3).
COMPACT = {
    "c": "content-type",
    "f": "from",
    "i": "call-id",
    "l": "content-length",
    "t": "to",
    "v": "via",
}


class Unreadable(ValueError):
    """Nothing that Kamailio would take for SIP."""


@dataclass(frozen=True, slots=True)
class Address:
    """A To or From: ``<sip:USER@HOST:PORT...>;tag=TAG``."""

    user: str
    #: Host, port and transport as they stand there.
    node: str
    tag: str

    @classmethod
    def read(cls, text: str) -> Address:
        uri, _, rest = text.partition("<")[2].partition(">")
        scheme, _, address = uri.partition(":")
        user, at, node = address.partition("@")
        if scheme != "sip" or not at:
            raise Unreadable(f"an address: {text!r}")
        tag = next((part[4:] for part in rest.split(";") if part.startswith("tag=")), "")
        return cls(user, node, tag)

    def __str__(self) -> str:
        return f"<sip:{self.user}@{self.node}>" + (f";tag={self.tag}" if self.tag else "")


@dataclass(frozen=True, slots=True)
class Request:
    """A KDMQ."""

    channel: str
    #: The receiver as the first line names it.
    target: str
    via: str
    to: Address
    from_: Address
    cseq: str
    call_id: str
    agent: str
    max_forwards: int
    content_type: str
    body: bytes

    def write(self) -> bytes:
        """In the order of tm's local requests."""
        agent = f"User-Agent: {self.agent}\r\n" if self.agent else ""
        head = (
            f"KDMQ sip:{self.target} SIP/2.0\r\nVia: {self.via}\r\nTo: {self.to}\r\nFrom: {self.from_}\r\n"
            f"CSeq: {self.cseq}\r\nCall-ID: {self.call_id}\r\nContent-Length: {len(self.body)}\r\n{agent}"
            f"Max-Forwards: {self.max_forwards}\r\nContent-Type: {self.content_type}\r\n\r\n"
        )
        return head.encode() + self.body

    def write_stateless(self) -> bytes:
        """6.2 with ``sl_send``: another order, and no User-Agent."""
        head = (
            f"KDMQ sip:{self.target} SIP/2.0\r\nVia: {self.via}\r\nFrom: {self.from_}\r\nTo: {self.to}\r\n"
            f"Call-ID: {self.call_id}\r\nCSeq: {self.cseq}\r\nMax-Forwards: {self.max_forwards}\r\n"
            f"Content-Type: {self.content_type}\r\nContent-Length: {len(self.body)}\r\n\r\n"
        )
        return head.encode() + self.body


@dataclass(frozen=True, slots=True)
class Response:
    """A reply to one."""

    status: int
    reason: str
    via: str
    to: Address
    from_: Address
    cseq: str
    call_id: str
    server: str
    content_type: str
    body: bytes

    @property
    def branch(self) -> str:
        return branch_of(self.via)

    def write(self) -> bytes:
        """In the order of sl's replies."""
        server = f"Server: {self.server}\r\n" if self.server else ""
        media = f"Content-Type: {self.content_type}\r\n" if self.content_type else ""
        head = (
            f"SIP/2.0 {self.status} {self.reason}\r\nVia: {self.via}\r\nTo: {self.to}\r\n"
            f"From: {self.from_}\r\nCSeq: {self.cseq}\r\nCall-ID: {self.call_id}\r\n{media}{server}"
            f"Content-Length: {len(self.body)}\r\n\r\n"
        )
        return head.encode() + self.body


#: RFC 3261 7.3.3: what a node writes to one that has not answered yet, to send no more than it must.
COMPACT = {
    "v": "via",
    "t": "to",
    "f": "from",
    "i": "call-id",
    "l": "content-length",
    "c": "content-type",
    "k": "supported",
}


def read(data: bytes) -> Request | Response:
    """A datagram; Unreadable for what is no KDMQ and no reply to one."""
    head, end, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("utf-8", "surrogateescape").split("\r\n")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise Unreadable(f"a header: {line[:80]!r}")
        name = name.strip().lower()
        headers.setdefault(COMPACT.get(name, name), value.strip())
    try:
        # Over UDP a message may do without.
        length = int(headers.get("content-length", len(body)))
        common = (headers["via"], Address.read(headers["to"]), Address.read(headers["from"]))
        numbers = (headers["cseq"], headers["call-id"])
    except (KeyError, ValueError) as error:
        raise Unreadable(f"{error!r} in {first[:80]!r}") from error
    if not end or length > len(body):
        raise Unreadable(f"cut off: {first[:80]!r}")
    media, body = headers.get("content-type", ""), body[:length]
    words = first.split(" ", 2)
    if words[0] == "SIP/2.0" and len(words) == 3:
        server = headers.get("server", "")
        return Response(int(words[1]), words[2], *common, *numbers, server, media, body)
    if len(words) != 3 or words[0] != "KDMQ" or words[2] != "SIP/2.0" or not words[1].startswith("sip:"):
        raise Unreadable(f"a first line: {first[:80]!r}")
    target = words[1].removeprefix("sip:")
    # A missing Max-Forwards counts as 0.
    hops = int(headers.get("max-forwards", 0))
    agent = headers.get("user-agent", "")
    return Request(target.partition("@")[0], target, *common, *numbers, agent, hops, media, body)


def reply(
    request: Request, status: int, reason: str, tag: str, server: str, source: Endpoint, body: bytes = b""
) -> Response:
    """What a Kamailio says to a request. It tells the sender its address if that is not the Via's."""
    host, _, _ = _sent_by(request.via)
    via = request.via
    if ";rport" in via and ";rport=" not in via:
        via = via.replace(";rport", f";rport={source.port}", 1)
    if host != source.host:
        via += f";received={source.host}"
    to = Address(request.to.user, request.to.node, request.to.tag or tag)
    media = "text/plain" if body else ""
    return Response(
        status, reason, via, to, request.from_, request.cseq, request.call_id, server, media, body
    )


def reply_to(request: Request, source: Endpoint) -> Endpoint:
    """Where the reply goes: to the address that the request came from, at the Via's port unless it says
    ``rport``."""
    _, port, rport = _sent_by(request.via)
    return source if rport else Endpoint(source.transport, source.host, port)


def branch_of(via: str) -> str:
    return next((part[7:] for part in via.split(";") if part.startswith("branch=")), "")


def _sent_by(via: str) -> tuple[str, int, bool]:
    """Host, port and whether the sender asks for its own port."""
    sent_by, *parameters = via.partition(" ")[2].strip().split(";")
    host, colon, port = sent_by.rpartition(":")
    if not colon or port.endswith("]"):
        host, port = sent_by, str(DEFAULT_PORT)
    return host, int(port), any(part.partition("=")[0] == "rport" for part in parameters)


@dataclass(slots=True, eq=False)
class _Call:
    """A request that waits for its reply."""

    data: bytes
    to: Endpoint
    done: Callable[[int, bytes], None]
    began: float
    sends: int = 1
    timer: VirtualTimer | None = None


class Calls:
    """The requests of one node that are under way."""

    def __init__(self, runtime: VirtualRuntime, send: Callable[[bytes, Endpoint], None]) -> None:
        self._runtime = runtime
        self._send = send
        self._calls: dict[str, _Call] = {}

    def start(self, data: bytes, branch: str, to: Endpoint, done: Callable[[int, bytes], None]) -> None:
        """Send a request until it is answered. ``done(status, body)``: 408 and nothing after fr_timer."""
        call = self._calls[branch] = _Call(data, to, done, self._runtime.now())
        self._wait(branch, call)
        self._send(data, to)

    def _wait(self, branch: str, call: _Call) -> None:
        pause = min(T1 * 2 ** (call.sends - 1), T2)
        left = call.began + FR_TIMER - self._runtime.now()
        call.timer = self._runtime.call_later(max(0.0, min(pause, left)), lambda: self._again(branch, call))

    def _again(self, branch: str, call: _Call) -> None:
        if self._runtime.now() >= call.began + FR_TIMER - 1e-9:
            del self._calls[branch]
            call.done(408, b"")
            return
        call.sends += 1
        self._wait(branch, call)
        self._send(call.data, call.to)

    def answered(self, response: Response) -> None:
        """A reply came. Kamailio finds its request by the branch."""
        if response.status < 200:
            return
        call = self._calls.pop(response.branch, None)
        if call is not None and call.timer is not None:
            call.timer.cancel()
            call.done(response.status, response.body)
