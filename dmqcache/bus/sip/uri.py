"""SIP URIs and the addresses of nodes: text in, small immutable values out.

Owns the rules for hosts, ports and URI parameters (RFC 3261 section 19.1 and 25.1) and the one canonical form
by which two nodes are the same. Resolves nothing: names are ``resolver.py``'s, sockets ``transport.py``'s.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from typing import NamedTuple
from urllib.parse import quote, unquote

#: Port of SIP over UDP and TCP, and of SIP over TLS (RFC 3261 section 19.1.2).
DEFAULT_PORT = 5060
DEFAULT_TLS_PORT = 5061
#: What ``;transport=`` may say here. Kamailio's DMQ knows no other.
TRANSPORTS = frozenset(("udp", "tcp", "tls"))
#: Characters of one URI; a header line is limited to 8 KiB, and no node's address comes near to this.
MAX_URI_CHARS = 2048
#: Longest DNS name (RFC 1035 section 2.3.4).
MAX_HOST_CHARS = 253

#: Characters that need no escape in the user part (RFC 3261 section 25.1: unreserved and user-unreserved,
#: without ``;`` and ``?``, which are legal there and still break careless readers).
_USER_SAFE = "-_.!~*'()&=+$,/"

_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}", re.ASCII)
# A last label of digits only would be a broken IPv4 address, not a name (RFC 1123 section 2.1).
_HOST_NAME = re.compile(r"(?:[a-z0-9_-]{1,63}\.)*+(?![0-9]++$)[a-z0-9_-]{1,63}", re.ASCII)
_PLAIN_USER = re.compile(r"[A-Za-z0-9_.-]*+")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
# Possessive quantifiers throughout: a hostile URI costs one pass.
_SIP_URI = re.compile(
    r"(?P<scheme>sips?):"
    r"(?:(?P<user>[^@:\s<>\"\x00-\x1f\x7f]++)(?::(?P<password>[^@\s<>\"\x00-\x1f\x7f]*+))?@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]++\]|[A-Za-z0-9_.-]++)"
    r"(?::(?P<port>[0-9]*+))?"
    r"(?P<params>;[^?@\s<>\"\x00-\x1f\x7f]*+)?"
    r"(?:\?(?P<headers>[^@\s<>\"\x00-\x1f\x7f]*+))?",
    re.IGNORECASE,
)


class URIError(ValueError):
    """A text that is no SIP URI, or no address of a node. Its message says what is wrong, for a person."""


class Endpoint(NamedTuple):
    """Where bytes go to or came from: an IP address that needs no resolving."""

    #: ``udp``, ``tcp`` or ``tls``.
    transport: str
    #: An IPv4 or IPv6 literal, without brackets.
    host: str
    port: int


def normal_host(text: str) -> str:
    """The canonical form of a host: an IPv4 literal as it is, an IPv6 literal shortest and without
    brackets, one that only wraps an IPv4 address as that; a name in lower case and without its last dot.
    Raises :class:`URIError` for anything else."""
    if _IPV4.fullmatch(text):
        return text
    bare = text[1:-1] if text[:1] == "[" and text[-1:] == "]" else text
    if ":" in bare:
        return _normal_ipv6(bare)
    name = text.lower().removesuffix(".")
    if len(name) > MAX_HOST_CHARS or not _HOST_NAME.fullmatch(name):
        raise URIError(f"not a host: {text[:80]!r}")
    return name


def is_ip(host: str) -> bool:
    """True when a canonical host (see :func:`normal_host`) is an IP literal."""
    return ":" in host or _IPV4.fullmatch(host) is not None


def as_written(text: str) -> str:
    """The address in a SIP URI with its host and port exactly as they stand there: a Kamailio takes itself
    and others for the same node only by these. Without user, parameters and a transport of UDP; empty: no
    URI."""
    match = _SIP_URI.fullmatch(text) if len(text) <= MAX_URI_CHARS else None
    if match is None:
        return ""
    scheme, _, _, host, port, params, _ = match.groups()
    transport = (
        "tls" if scheme.lower() == "sips" else _split_params(params or "").get("transport", "").lower()
    )
    other = f";transport={transport}" if transport in TRANSPORTS - {"udp"} else ""
    return f"sip:{host}{f':{port}' if port else ''}{other}"


def bracketed(host: str) -> str:
    """The host as it stands in a URI or a Via: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def parse_port(text: str) -> int:
    """1 to 65535; raises :class:`URIError`. Never costs more than a glance, however long the text."""
    if text.isascii() and text.isdigit() and len(text) <= 8:
        port = int(text)
        if 0 < port <= 65535:
            return port
    raise URIError(f"not a port: {text[:20]!r}")


def _normal_ipv6(bare: str) -> str:
    # A scope (%eth0) means something on one machine only, so it has no place in an address for others.
    if "%" in bare:
        raise URIError(f"an IPv6 scope has no meaning for other nodes: {bare[:80]!r}")
    try:
        address = IPv6Address(bare)
    except ValueError:
        raise URIError(f"not an IPv6 address: {bare[:80]!r}") from None
    # ::ffff:127.0.0.1 is how IPv6 writes an IPv4 address: the same node.
    return str(address.ipv4_mapped or address)


def _split_params(text: str) -> dict[str, str]:
    """``;a=1;b`` as a mapping, names in lower case, the first of a name wins."""
    params: dict[str, str] = {}
    for item in text.split(";"):
        if item:
            name, _, value = item.partition("=")
            params.setdefault(name.lower(), value)
    return params


@dataclass(frozen=True, slots=True)
class SipURI:
    """A ``sip:`` or ``sips:`` URI (RFC 3261 section 19.1)."""

    #: ``sip`` or ``sips``.
    scheme: str
    #: The user part without escapes; empty when there is none. On the bus it is the channel.
    user: str
    #: Canonical, without brackets (see :func:`normal_host`).
    host: str
    #: None where the URI names none.
    port: int | None = None
    #: Names in lower case; a parameter without a value has an empty one.
    params: Mapping[str, str] = field(default_factory=dict, hash=False)
    #: As it came; None when there is none. Never used here.
    password: str | None = None
    #: What stands after ``?``, as it came. Never used here.
    headers: str = ""

    @classmethod
    def parse(cls, text: str) -> SipURI:
        """Read a URI. Raises :class:`URIError`. ``host:`` with an empty port is read as no port, because
        Kamailio writes so in its node list when none is configured."""
        match = _SIP_URI.fullmatch(text) if len(text) <= MAX_URI_CHARS else None
        if match is None:
            raise URIError(f"not a SIP URI: {text[:80]!r}")
        scheme, user, password, host, port, params, headers = match.groups()
        return cls(
            scheme.lower(),
            _unescaped(user) if user else "",
            normal_host(host),
            parse_port(port) if port else None,
            _split_params(params) if params else {},
            password,
            headers or "",
        )

    def __str__(self) -> str:
        user = ""
        if self.user:
            password = "" if self.password is None else f":{self.password}"
            user = f"{_escaped(self.user)}{password}@"
        port = "" if self.port is None else f":{self.port}"
        params = "".join(f";{name}={value}" if value else f";{name}" for name, value in self.params.items())
        headers = f"?{self.headers}" if self.headers else ""
        return f"{self.scheme}:{user}{bracketed(self.host)}{port}{params}{headers}"


def _unescaped(user: str) -> str:
    if "%" not in user:
        return user
    if _BAD_ESCAPE.search(user):
        raise URIError(f"a broken escape in {user[:80]!r}")
    return unquote(user, errors="surrogateescape")


def _escaped(user: str) -> str:
    return user if _PLAIN_USER.fullmatch(user) else quote(user, _USER_SAFE, errors="surrogateescape")


class NodeURI(NamedTuple):
    """The address by which a node is known, in the one form in which equal means the same node.

    Comparing and hashing run in C, because every message looks its node up. Text from outside comes in
    through :meth:`parse`; the constructor takes fields that are already canonical.
    """

    #: Canonical, without brackets (see :func:`normal_host`).
    host: str
    port: int = DEFAULT_PORT
    #: ``udp``, ``tcp`` or ``tls``.
    transport: str = "udp"

    @classmethod
    def parse(cls, text: str) -> NodeURI:
        """Read ``sip:h:p;transport=tcp``, ``sips:h``, ``h:p``, ``h``, ``[::1]:5060`` or ``sip:channel@h:p``.

        The user part and parameters other than ``transport`` are ignored. Raises :class:`URIError`.
        """
        text = text.strip()
        if text[:4].lower() != "sip:" and text[:5].lower() != "sips:":
            if text.count(":") > 1 and "[" not in text:
                raise URIError(f"not host:port, sip:host:port or [::1]:5060: {text[:80]!r}")
            text = f"sip:{text}"
        return cls.from_sip(SipURI.parse(text))

    @classmethod
    def from_sip(cls, uri: SipURI) -> NodeURI:
        """The node that a SIP URI addresses. Raises :class:`URIError` for a transport that nobody has."""
        transport = uri.params.get("transport", "udp").lower()
        if transport not in TRANSPORTS:
            raise URIError(f"transport must be udp, tcp or tls, not {transport[:20]!r}")
        if uri.scheme == "sips":
            transport = "tls"
        default = DEFAULT_TLS_PORT if transport == "tls" else DEFAULT_PORT
        return cls(uri.host, default if uri.port is None else uri.port, transport)

    def __str__(self) -> str:
        return f"sip:{self.host_port}{'' if self.transport == 'udp' else f';transport={self.transport}'}"

    def with_user(self, channel: str) -> str:
        """The URI of one channel of this node, ``sip:htable@127.0.0.11:5060``: Request-URI, To and From."""
        transport = "" if self.transport == "udp" else f";transport={self.transport}"
        return f"sip:{_escaped(channel)}@{self.host_port}{transport}"

    @property
    def host_port(self) -> str:
        """``127.0.0.11:5060`` or ``[::1]:5060``: the sent-by of our Via."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def endpoint(self) -> Endpoint | None:
        """Where to send without asking anybody, or None when the host is a name."""
        return Endpoint(self.transport, self.host, self.port) if is_ip(self.host) else None
