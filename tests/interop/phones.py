"""Two telephones of a test, a caller's and a callee's: calls through a proxy, one step at a time.

Just enough of RFC 3261 for that: the requests of a dialog follow its route set, nothing is repeated, as no
datagram is lost on loopback. A step returns when the other telephone has seen it.
"""

import contextlib
import itertools
import socket
from dataclasses import dataclass, field
from typing import Self

ANSWER_TIMEOUT_S = 10.0
CALLER_PORT = 5080
CALLEE_PORT = 5090


@dataclass
class Call:
    """One call, as both telephones know it."""

    call_id: str
    caller: str
    callee: str
    #: The head of the INVITE as it came to the callee.
    invite: list[str] = field(default_factory=list)
    #: The caller's route set, and where its requests go to.
    routes: list[str] = field(default_factory=list)

    @property
    def caller_tag(self) -> str:
        return f"caller-{self.call_id.partition('@')[0]}"

    @property
    def callee_tag(self) -> str:
        return f"callee-{self.call_id.partition('@')[0]}"


class Phones:
    """Both telephones on one address. `proxy`: where the caller's requests go, host and port."""

    def __init__(self, host: str, proxy: tuple[str, int]) -> None:
        self.host = host
        self.proxy = proxy
        self._caller = _socket(host, CALLER_PORT)
        self._callee = _socket(host, CALLEE_PORT)
        self._branches = itertools.count(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._caller.close()
        self._callee.close()

    # ---- the steps ----

    def ring(self, number: int, caller: str = "alice", callee: str = "bob") -> Call:
        """The caller's INVITE; the callee's telephone rings, and the caller hears it."""
        call = Call(f"call{number}@{self.host}", caller, callee)
        self._request(call, "INVITE", f"sip:{callee}@{self.host}:{CALLEE_PORT}", 1, to_tag=False)
        call.invite = self._receive(self._callee, "INVITE ", call)
        self._answer(call, call.invite, "180 Ringing", call.callee_tag)
        self._receive(self._caller, "SIP/2.0 180 ", call)
        return call

    def answer(self, call: Call) -> None:
        """The callee answers; the caller's ACK reaches it."""
        self._answer(call, call.invite, "200 OK", call.callee_tag)
        answered = self._receive(self._caller, "SIP/2.0 200 ", call)
        call.routes = _values(answered, "Record-Route")[::-1]
        self._request(call, "ACK", f"sip:{call.callee}@{self.host}:{CALLEE_PORT}", 1)
        self._receive(self._callee, "ACK ", call)

    def refuse(self, call: Call) -> None:
        """The callee is busy; the proxy itself acknowledges that, and so does the caller."""
        self._answer(call, call.invite, "486 Busy Here", call.callee_tag)
        self._receive(self._caller, "SIP/2.0 486 ", call)
        self._request(call, "ACK", f"sip:{call.callee}@{self.host}:{CALLEE_PORT}", 1, branch=call.call_id)
        self._receive(self._callee, "ACK ", call)

    def hang_up(self, call: Call) -> None:
        """The caller's BYE, and the callee's 200."""
        self._request(call, "BYE", f"sip:{call.callee}@{self.host}:{CALLEE_PORT}", 2)
        bye = self._receive(self._callee, "BYE ", call)
        self._answer(call, bye, "200 OK", call.callee_tag)
        self._receive(self._caller, "SIP/2.0 200 ", call)

    # ---- messages ----

    def _request(
        self, call: Call, method: str, uri: str, cseq: int, *, to_tag: bool = True, branch: str = ""
    ) -> None:
        place = f"{self.host}:{CALLER_PORT}"
        if method == "INVITE":
            branch = call.call_id
        branch = branch or f"{next(self._branches)}-{call.call_id}"
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/UDP {place};branch=z9hG4bK{branch.replace('@', '-')}",
            *(f"Route: {route}" for route in call.routes),
            f"From: <sip:{call.caller}@example.com>;tag={call.caller_tag}",
            f"To: <sip:{call.callee}@example.com>" + (f";tag={call.callee_tag}" if to_tag else ""),
            f"Call-ID: {call.call_id}",
            f"CSeq: {cseq} {method}",
            f"Contact: <sip:{call.caller}@{place}>",
            "Max-Forwards: 70",
            "Content-Length: 0",
        ]
        self._caller.sendto(_datagram(lines), self.proxy)

    def _answer(self, call: Call, request: list[str], status: str, tag: str) -> None:
        to = _values(request, "To")[0]
        lines = [
            f"SIP/2.0 {status}",
            *(f"Via: {via}" for via in _values(request, "Via")),
            *(f"Record-Route: {route}" for route in _values(request, "Record-Route")),
            f"From: {_values(request, 'From')[0]}",
            f"To: {to}" + ("" if ";tag=" in to else f";tag={tag}"),
            f"Call-ID: {call.call_id}",
            f"CSeq: {_values(request, 'CSeq')[0]}",
            f"Contact: <sip:{call.callee}@{self.host}:{CALLEE_PORT}>",
            "Content-Length: 0",
        ]
        self._callee.sendto(_datagram(lines), self.proxy)

    @staticmethod
    def _receive(phone: socket.socket, start: str, call: Call) -> list[str]:
        """The head of the next message that starts so and is of this call; what else comes is passed over."""
        while True:
            lines = phone.recv(65_535).decode().partition("\r\n\r\n")[0].split("\r\n")
            if lines[0].startswith(start) and _values(lines, "Call-ID") == [call.call_id]:
                return lines


def _socket(host: str, port: int) -> socket.socket:
    phone = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    phone.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    phone.bind((host, port))
    phone.settimeout(ANSWER_TIMEOUT_S)
    return phone


def _datagram(lines: list[str]) -> bytes:
    return "\r\n".join([*lines, "", ""]).encode()


def _values(lines: list[str], name: str) -> list[str]:
    """The values of a header, one for each of its lines."""
    fields = (line.partition(":") for line in lines[1:])
    return [value.strip() for field_name, _, value in fields if field_name.strip().lower() == name.lower()]


class Watcher:
    """A telephone that watches somebody's presence: it answers each NOTIFY, and keeps its document."""

    def __init__(self, host: str, server: tuple[str, int]) -> None:
        self.host = host
        self.server = server
        self.documents: list[str] = []
        self._phone = _socket(host, CALLER_PORT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._phone.close()

    def subscribe(self, user: str) -> None:
        """A SUBSCRIBE; returns when it is answered 200."""
        lines = [
            f"SUBSCRIBE sip:{user}@{self.server[0]} SIP/2.0",
            f"Via: SIP/2.0/UDP {self.host}:{CALLER_PORT};branch=z9hG4bKwatch{user}",
            "From: <sip:watcher@example.com>;tag=watcher",
            f"To: <sip:{user}@{self.server[0]}>",
            f"Call-ID: watch{user}@{self.host}",
            "CSeq: 1 SUBSCRIBE",
            f"Contact: <sip:watcher@{self.host}:{CALLER_PORT}>",
            "Event: presence",
            "Expires: 600",
            "Max-Forwards: 70",
            "Content-Length: 0",
        ]
        self._phone.sendto(_datagram(lines), self.server)
        while not self._next().startswith("SIP/2.0 200 "):
            pass

    def notified(self, text: str) -> int:
        """How many documents with `text` have come so far."""
        self._phone.settimeout(0.1)
        with contextlib.suppress(TimeoutError):
            while True:
                self._next()
        return sum(text in document for document in self.documents)

    def _next(self) -> str:
        head, _, document = self._phone.recv(65_535).decode().partition("\r\n\r\n")
        lines = head.split("\r\n")
        if lines[0].startswith("NOTIFY "):
            self.documents.append(document)
            copied = [
                line for line in lines[1:] if line.split(":")[0] in ("Via", "From", "To", "Call-ID", "CSeq")
            ]
            self._phone.sendto(_datagram(["SIP/2.0 200 OK", *copied, "Content-Length: 0"]), self.server)
        return lines[0]
