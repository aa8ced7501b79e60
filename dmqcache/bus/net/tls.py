"""TLS: contexts from files, for the bus and for what a node serves, and whose certificate covers which host.

Owns reading the files, the rules of a handshake, the names in a certificate (RFC 5922) and when ours expires.
Connections are ``tcp``'s: TLS only wraps them. When the files are read again is decided by the node.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dmqcache.bus.net.sockaddr import ip_of
from dmqcache.bus.sip.uri import SipURI, URIError

#: What every Kamailio since 5.0 speaks, and nothing older.
OLDEST: Final = ssl.TLSVersion.TLSv1_2

#: What ``SSLSocket.getpeercert`` tells.
Certificate = Mapping[str, Any]


class TlsError(OSError):
    """Files that make no TLS; one line for the operator that names the file and what to do."""


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """Where the files are (PEM), and whether the other side must show a certificate."""

    certificate: Path
    key: Path
    ca: Path
    #: Whether a node that connects must show a certificate of the CA. Without it TLS only hides.
    require_certificate: bool = True


@dataclass(frozen=True, slots=True)
class TlsContexts:
    """What handshakes are made with, and until when (Unix seconds)."""

    server: ssl.SSLContext
    client: ssl.SSLContext
    expires: float


def load(options: TlsOptions) -> TlsContexts:
    """Read the files. TlsError where one of them is missing, unreadable, or does not fit the others."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Names are held against the node that is meant, which may be known by several (see `covers`).
    client.check_hostname = False
    client.verify_mode = ssl.CERT_REQUIRED
    server.verify_mode = ssl.CERT_REQUIRED if options.require_certificate else ssl.CERT_OPTIONAL
    for context in (server, client):
        context.minimum_version = OLDEST
        read_files(context, options.certificate, options.key, options.ca)
    return TlsContexts(server, client, expiry(options.certificate))


def serving(certificate: Path, key: Path, ca: Path | None = None) -> ssl.SSLContext:
    """What a server for clients makes handshakes with; with ``ca`` they must show a certificate of it.
    TlsError as :func:`load`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = OLDEST
    if ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    read_files(context, certificate, key, ca)
    return context


def read_files(context: ssl.SSLContext, certificate: Path, key: Path, ca: Path | None) -> None:
    """Let a context use these files from its next handshake on. TlsError."""
    for path in filter(None, (certificate, key, ca)):
        try:
            path.read_bytes()
        except OSError as error:
            raise TlsError(f"{path}: {error.strerror or error}") from None
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except (ssl.SSLError, OSError, TlsError) as error:
        if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
            raise TlsError(f"{key} is not the key of {certificate}") from None
        raise TlsError(
            f"{certificate} and {key}: not a certificate and its key in PEM ({_reason(error)})"
        ) from None
    if ca is None:
        return
    try:
        context.load_verify_locations(ca)
    except (ssl.SSLError, OSError) as error:
        raise TlsError(f"{ca}: no certificates in PEM in it ({_reason(error)})") from None


def _no_password() -> str:
    raise TlsError("the key has a pass phrase; a server's key has none: protect the file instead")


def _reason(error: Exception) -> str:
    return getattr(error, "reason", None) or str(error)


def expiry(certificate: Path) -> float:
    """When our certificate expires, in Unix seconds."""
    try:
        from cryptography import x509
    except ImportError:
        raise TlsError("TLS needs the package 'cryptography': pip install 'dmqcache[tls]'") from None
    return x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc.timestamp()


def covers(certificate: Certificate | None, host: str) -> bool:
    """Whether a certificate speaks for a host: an IP address, or a name, in its subjectAltName; exactly, as
    RFC 5922 section 7.2 allows no wildcards in SIP. Without any such entry the common name counts."""
    if not certificate:
        return False
    names = _alternative_names(certificate) or _common_names(certificate)
    return _normal(host) in {_normal(name) for name in names}


def _normal(name: str) -> str:
    ip = ip_of(name.strip("[]"))
    return str(ip) if ip is not None else name.lower().rstrip(".")


def _alternative_names(certificate: Certificate) -> list[str]:
    found: list[str] = []
    for kind, value in certificate.get("subjectAltName", ()):
        if kind in ("DNS", "IP Address"):
            found.append(value)
        elif kind == "URI":
            found += _sip_host(value)
    return found


def _sip_host(value: str) -> list[str]:
    """The host of a SIP URI that stands for a domain; one with a user stands for a person (RFC 5922 7.1)."""
    try:
        uri = SipURI.parse(value)
    except URIError:
        return []
    return [] if uri.user else [uri.host]


def _common_names(certificate: Certificate) -> list[str]:
    return [value for part in certificate.get("subject", ()) for name, value in part if name == "commonName"]
