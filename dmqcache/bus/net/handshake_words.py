"""Why a TLS handshake failed, in words for an operator.

OpenSSL has a reason for each side: what we do not accept of the other side, and the alert by which the other
side says what it does not accept of us (RFC 8446 section 6.2). Owns the words; who logs them is ``tcp``'s.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from typing import Final

#: Where the other side ends a connection after the handshake and says nothing: in TLS 1.3 it judges our
#: certificate only then, and a server on asyncio or uvloop sends no alert.
ENDED_WORDLESS: Final = (
    "the other side ended it without a word after the handshake: it may not accept this node's certificate, "
    "see its log"
)

#: Of OpenSSL's X509_V_ERR_*: the certificate that stands for a CA is not there, or signs only itself.
_UNKNOWN_CA: Final = frozenset({2, 18, 19, 20, 21})
_NOT_YET_VALID: Final = 9
_EXPIRED: Final = 10

#: Ends of OpenSSL's reasons, the first that fits.
_REASONS: Final = (
    ("ALERT_UNKNOWN_CA", "it does not know the CA of this node's certificate"),
    ("ALERT_CERTIFICATE_EXPIRED", "it says that this node's certificate has expired, or is not valid yet"),
    ("ALERT_CERTIFICATE_REQUIRED", "it wants a certificate of this node"),
    ("ALERT_BAD_CERTIFICATE", "it does not accept this node's certificate"),
    ("ALERT_CERTIFICATE_UNKNOWN", "it does not accept this node's certificate"),
    ("ALERT_CERTIFICATE_REVOKED", "it says that this node's certificate is revoked"),
    ("ALERT_UNSUPPORTED_CERTIFICATE", "it does not accept this kind of certificate"),
    ("ALERT_DECRYPT_ERROR", "it finds a wrong signature in this node's certificate"),
    ("ALERT_PROTOCOL_VERSION", "it speaks another version of TLS"),
    ("UNSUPPORTED_PROTOCOL", "it speaks no TLS 1.2 or later"),
    ("PEER_DID_NOT_RETURN_A_CERTIFICATE", "it shows no certificate"),
    ("WRONG_VERSION_NUMBER", "it does not speak TLS"),
    ("HTTP_REQUEST", "it does not speak TLS"),
    ("RECORD_LAYER_FAILURE", "it does not speak TLS"),
)


def words(error: OSError) -> str:
    """What went wrong; never empty. ``error``: what a handshake, or an attempt to connect, ended with."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _not_accepted(error)
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
        reason = _reason(error)
        text = next((text for end, text in _REASONS if reason.endswith(end)), "")
        return text or f"TLS: {reason.replace('_', ' ').lower() or error}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLEOFError) or not str(error):
        return "the other side ended it before it was complete"
    return str(error)


def is_about_trust(error: BaseException | None) -> bool:
    """Whether one of the two sides does not accept the other's certificate: more than a stranger's noise."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return True
    reason = _reason(error) if isinstance(error, ssl.SSLError) else ""
    return "ALERT" in reason or reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE"


def _reason(error: ssl.SSLError) -> str:
    """OpenSSL's; one that Python made has none."""
    return getattr(error, "reason", None) or ""


def _not_accepted(error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code == _EXPIRED:
        return "its certificate has expired"
    if error.verify_code == _NOT_YET_VALID:
        return "its certificate is not valid yet: are both clocks right?"
    if error.verify_code in _UNKNOWN_CA:
        return f"its certificate is of a CA that is not in tls_ca ({error.verify_message})"
    return f"its certificate is not accepted ({error.verify_message})"


def listed(names: Iterable[str]) -> str:
    """The names in a certificate, in one line of bounded length."""
    found = list(names)
    shown = ", ".join(name[:80] if name.isprintable() else repr(name[:80]) for name in found[:5]) or "nobody"
    return f"{shown} and {len(found) - 5} more" if len(found) > 5 else shown
