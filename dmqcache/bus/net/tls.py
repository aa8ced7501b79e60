"""TLS: contexts from files, for the bus and for what a node serves, and whose certificate covers which host.

Owns reading the files, the rules of a handshake, the names in a certificate (RFC 5922) and when ours expires.
Connections are ``tcp``'s: TLS only wraps them. When the files are read again is decided by the node.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from dmqcache.bus.net.handshake_words import listed
from dmqcache.bus.net.sockaddr import ip_of
from dmqcache.bus.sip.uri import SipURI, URIError

if TYPE_CHECKING:
    from cryptography import x509

#: What every Kamailio since 5.0 speaks, and nothing older.
OLDEST: Final = ssl.TLSVersion.TLSv1_2

#: What ``SSLSocket.getpeercert`` tells.
Certificate = Mapping[str, Any]


class TlsError(OSError):
    """Files that make no TLS; one line for the operator that names the file and what to do."""


class FileOptions(NamedTuple):
    """The options that name the files, for what is said of them."""

    certificate: str = "tls_certificate"
    key: str = "tls_key"
    ca: str = "tls_ca"


BUS_OPTIONS: Final = FileOptions()


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
    #: For whom our certificate speaks: see :func:`names`.
    names: tuple[str, ...] = ()

    def faults(self, host: str, now: float) -> str:
        """What is wrong with our certificate for a node at ``host``, an address, at ``now`` (Unix seconds),
        in words; empty: nothing."""
        found = []
        if self.expires <= now:
            when = datetime.fromtimestamp(self.expires, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            found.append(f"this node's certificate expired at {when}: no node accepts it")
        if normal(host) not in map(normal, self.names):
            found.append(
                f"this node's certificate does not speak for its address {host}, only for "
                f"{listed(self.names)}: other dmqcache nodes take nothing from it"
            )
        return "; ".join(found)


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
    return TlsContexts(
        server, client, expiry(options.certificate), tuple(names(_decoded(options.certificate)))
    )


def serving(
    certificate: Path, key: Path, ca: Path | None = None, named: FileOptions = BUS_OPTIONS
) -> ssl.SSLContext:
    """What a server for clients makes handshakes with; with ``ca`` they must show a certificate of it.
    TlsError as :func:`load`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = OLDEST
    if ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    read_files(context, certificate, key, ca, named)
    return context


def read_files(
    context: ssl.SSLContext, certificate: Path, key: Path, ca: Path | None, named: FileOptions = BUS_OPTIONS
) -> None:
    """Let a context use these files from its next handshake on. TlsError."""
    for option, path in zip(named, (certificate, key, ca), strict=True):
        try:
            if path is not None:
                path.read_bytes()
        except OSError as error:
            raise TlsError(f"{option} {path}: {error.strerror or error}") from None
    of_certificate, of_key = f"{named.certificate} {certificate}", f"{named.key} {key}"
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except (ssl.SSLError, OSError, TlsError) as error:
        if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
            raise TlsError(f"{of_key} is not the key of {of_certificate}") from None
        raise TlsError(
            f"{of_certificate} and {of_key}: not a certificate and its key in PEM ({_reason(error)})"
        ) from None
    if ca is None:
        return
    try:
        context.load_verify_locations(ca)
    except (ssl.SSLError, OSError) as error:
        raise TlsError(f"{named.ca} {ca}: no certificates in PEM in it ({_reason(error)})") from None


def _no_password() -> str:
    raise TlsError("the key has a pass phrase; a server's key has none: protect the file instead")


def _reason(error: Exception) -> str:
    return getattr(error, "reason", None) or str(error)


def expiry(certificate: Path) -> float:
    """When our certificate expires, in Unix seconds."""
    return _read(certificate).not_valid_after_utc.timestamp()


def _read(certificate: Path) -> x509.Certificate:
    try:
        from cryptography import x509
    except ImportError:
        raise TlsError("TLS needs the package 'cryptography': pip install 'dmqcache[tls]'") from None
    return x509.load_pem_x509_certificate(certificate.read_bytes())


def _decoded(certificate: Path) -> Certificate:
    """What ``SSLSocket.getpeercert`` would tell of the names in our certificate."""
    from cryptography import x509

    read = _read(certificate)
    common = read.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    subject = [(("commonName", str(one.value)),) for one in common]
    try:
        others = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return {"subject": subject}
    kinds = ((x509.DNSName, "DNS"), (x509.IPAddress, "IP Address"), (x509.UniformResourceIdentifier, "URI"))
    alternative = [(kind, str(one.value)) for one in others for form, kind in kinds if isinstance(one, form)]
    return {"subject": subject, "subjectAltName": alternative}


def covers(certificate: Certificate | None, host: str) -> bool:
    """Whether a certificate speaks for a host: an IP address, or a name, in its subjectAltName; exactly, as
    RFC 5922 section 7.2 allows no wildcards in SIP. Without any such entry the common name counts."""
    return normal(host) in map(normal, names(certificate))


def names(certificate: Certificate | None) -> list[str]:
    """For whom a certificate speaks, as they stand there: see :func:`covers`."""
    if not certificate:
        return []
    return _alternative_names(certificate) or _common_names(certificate)


def normal(name: str) -> str:
    """One form of an address, or of a name."""
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
