"""Why an endpoint could not be reached, in one word each, and the telling of it on a later turn.

Owns the names of failures that the transports share. What a failure means for a node or a transaction is
the bus's business. A failure is told about an endpoint, not about a message.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import ssl
from collections.abc import Callable

from dmqcache.bus.sip.uri import Endpoint

log = logging.getLogger(__name__)

#: Nobody listens there: ICMP port unreachable, or a reset of a TCP handshake.
REFUSED = "refused"
#: No way there: ICMP host or network unreachable, no route, an address of a family that we have not.
UNREACHABLE = "unreachable"
#: A packet filter of this machine forbids it (EPERM from a send).
BLOCKED = "blocked"
#: The connection broke.
RESET = "reset"
#: The other side closed the connection although an answer may still have been due.
CLOSED = "closed"
#: No connection, or no acknowledgement of what was sent, in time.
TIMEOUT = "timeout"
#: More than a datagram can carry.
TOO_LARGE = "too_large"
#: The endpoint's transport is one that this node does not speak, or it has no socket of that family.
UNSUPPORTED = "unsupported"
#: What came over the connection was not SIP; it was closed.
FRAMING = "framing"
#: What answered is not the node that was called, as its certificate says.
CERTIFICATE = "certificate"
#: The TLS handshake failed: no TLS there, or one of the two does not accept the other's certificate.
TLS = "tls"
#: We ended it ourselves. Never reported.
SHUT = "shut"
#: Anything else that the system refuses; the log has the text.
ERROR = "error"

_REASONS: dict[int, str] = {
    errno.ECONNREFUSED: REFUSED,
    errno.EHOSTUNREACH: UNREACHABLE,
    errno.ENETUNREACH: UNREACHABLE,
    errno.EHOSTDOWN: UNREACHABLE,
    errno.ENETDOWN: UNREACHABLE,
    errno.EADDRNOTAVAIL: UNREACHABLE,
    # Linux: from a socket bound to loopback to an address that is not.
    errno.EINVAL: UNREACHABLE,
    errno.EPERM: BLOCKED,
    errno.EACCES: BLOCKED,
    errno.ECONNRESET: RESET,
    errno.ECONNABORTED: RESET,
    errno.EPIPE: RESET,
    errno.ETIMEDOUT: TIMEOUT,
    errno.EMSGSIZE: TOO_LARGE,
}

Failed = Callable[[Endpoint, str], None]


def reason_of(error: OSError) -> str:
    """The word for a system's error; :data:`ERROR` for one that has none."""
    if isinstance(error, TimeoutError):
        return TIMEOUT
    if isinstance(error, ssl.SSLError):
        # Their numbers are OpenSSL's, and mean other things than the system's.
        return RESET if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError) else TLS
    return _REASONS.get(error.errno or 0, ERROR)


class Failures:
    """Gathers failures and tells each endpoint's once on the next turn of the loop, never from inside the
    call that met it: who sends is in the middle of its own step."""

    __slots__ = ("_failed", "_loop", "_pending", "_stopped")

    def __init__(self, loop: asyncio.AbstractEventLoop, failed: Failed) -> None:
        self._loop = loop
        self._failed = failed
        self._pending: dict[tuple[Endpoint, str], None] = {}
        self._stopped = False

    def report(self, endpoint: Endpoint, reason: str) -> None:
        """Tell ``failed(endpoint, reason)`` soon. Repeats before that count as one."""
        if not self._pending:
            self._loop.call_soon(self._tell)
        self._pending[endpoint, reason] = None

    def stop(self) -> None:
        """Tell nothing any more."""
        self._stopped = True

    def _tell(self) -> None:
        pending, self._pending = self._pending, {}
        for endpoint, reason in pending:
            if self._stopped:
                return
            try:
                self._failed(endpoint, reason)
            except Exception:
                log.exception("telling that %s is %s failed", endpoint, reason)
