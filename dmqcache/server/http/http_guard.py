"""Who is answered over HTTP: the names that a node goes by, the token, and what answers say to browsers.

A web page can have its own name resolve to this node and then read it as if it were its own site (DNS
rebinding); so a request must name the node by an address or by a name that it is known by. The token is a
bearer's (RFC 6750); browsers, which cannot type one, show it as the password of any user (RFC 7617).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Final, Literal, Protocol

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: What needs the token, where there is one: changes by RPC; all of RPC; the page and the metrics too.
Protect = Literal["changes", "rpc", "all"]

#: Probes have no token, and no name either; what they are told harms nobody.
OPEN_PATHS: Final = frozenset({"/healthz", "/readyz"})
RPC_PATHS: Final = frozenset({"/rpc", "/RPC"})
#: Characters of a name that is told back.
MAX_SHOWN: Final = 100
#: What every answer says: it is for who asked, and is what it says it is.
HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    (b"cache-control", b"no-store"),
)


class TlsDoor(Protocol):
    """Takes connections once their handshakes are done, within its bounds."""

    def listen(
        self, sock: socket.socket, factory: Callable[[], asyncio.BaseProtocol], refused: Callable[[str], None]
    ) -> Any:
        """On a socket that is bound; ``refused`` is told why a connection is not taken. Returns what is to be
        closed."""

    def close(self) -> None:
        """Break off what is under way."""


@dataclass(frozen=True, slots=True)
class HttpDoors:
    """Who is let in, by the node's configuration."""

    #: Reads the token; None: there is none. ValueError says what is wrong.
    token: Callable[[], str | None] = lambda: None
    protect: Protect = "changes"
    #: Without a token: whether other machines may change something.
    open: bool = False
    #: Names in lower case that a request may call the node by, beside any address.
    names: frozenset[str] = field(default_factory=frozenset)
    #: Served over TLS with this.
    tls: TlsDoor | None = None


class Guard:
    """Decides for each request. :meth:`reload` first."""

    def __init__(self, doors: HttpDoors | None = None) -> None:
        self.doors = doors or HttpDoors()
        self._token: bytes | None = None

    def reload(self) -> None:
        """Read the token again. ValueError, and the former one goes on."""
        token = self.doors.token()
        self._token = None if token is None else token.encode("utf-8", "surrogateescape")

    def refusal(self, request: Request) -> Response | None:
        """Why a request is not answered; None: it is."""
        path = request.scope["path"]
        if path in OPEN_PATHS:
            return None
        name = host_name(request.headers.get("host", ""))
        if not self._goes_by(name):
            shown = "".join(char if char.isprintable() else "?" for char in name[:MAX_SHOWN])
            text = f"this node does not go by the name {shown!r}: --http-host adds one\n"
            return PlainTextResponse(text, status_code=421)
        if self._token is not None and self._covers(path) and not self.knows(request):
            return _unauthorized(path)
        return None

    def _covers(self, path: str) -> bool:
        protect = self.doors.protect
        return protect == "all" or (protect == "rpc" and path in RPC_PATHS)

    def _goes_by(self, name: str) -> bool:
        return not name or name in self.doors.names or name == "localhost" or _is_address(name)

    def knows(self, request: Request) -> bool:
        """Whether the request shows the token."""
        if self._token is None:
            return False
        shown = shown_tokens(request.headers.getlist("authorization"))
        return any(hmac.compare_digest(one, self._token) for one in shown)

    def why_no_change(self, request: Request) -> str:
        """Why a request may change nothing; empty: it may."""
        if self._token is not None:
            return "" if self.knows(request) else "this method changes something: it needs the token"
        host = request.client.host if request.client is not None else ""
        if self.doors.open or not host or _is_loopback(host):
            return ""
        return (
            "changes from other machines need a token: give the node --http-token-file "
            "(or --allow-open, if everybody may change everything)"
        )

    def around(self, app: ASGIApp) -> ASGIApp:
        """``app`` behind this guard."""

        async def call(scope: Scope, receive: Receive, send: Send) -> None:
            async def send_on(message: Message) -> None:
                if message["type"] == "http.response.start":
                    said = {name for name, _ in message["headers"]}
                    more = [header for header in HEADERS if header[0] not in said]
                    message = {**message, "headers": [*message["headers"], *more]}
                await send(message)

            if scope["type"] == "http" and (refusal := self.refusal(Request(scope))) is not None:
                await refusal(scope, receive, send_on)
            else:
                await app(scope, receive, send_on)

        return call


def host_name(header: str) -> str:
    """The name in a Host header, without port and final dot, in lower case."""
    text = header.strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0].rstrip(".")


def shown_tokens(headers: Iterable[str]) -> list[bytes]:
    """What Authorization headers show: a bearer's token, or a password."""
    found: list[bytes] = []
    for header in headers:
        scheme, _, value = header.strip().partition(" ")
        data = value.strip().encode("latin-1", "replace")
        if scheme.lower() == "bearer":
            found.append(data)
        elif scheme.lower() == "basic":
            try:
                found.append(base64.b64decode(data, validate=True).partition(b":")[2])
            except binascii.Error:
                continue
    return found


def _unauthorized(path: str) -> Response:
    asks = 'Bearer realm="dmqcache"' if path in RPC_PATHS else 'Basic realm="dmqcache", charset="UTF-8"'
    text = "this needs the token of --http-token-file\n"
    return PlainTextResponse(text, status_code=401, headers={"www-authenticate": asks})


def _is_address(name: str) -> bool:
    try:
        ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
