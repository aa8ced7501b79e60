"""What the transports know of who may be a node, and of who has shown that it is one.

Owns nothing but the two questions; the answers are an allow list's and a certificate's (``net/``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dmqcache.bus.sip.uri import Endpoint


@dataclass(frozen=True, slots=True)
class Admission:
    """By default everybody may be a node, and nobody has to show anything."""

    #: Whether a host (an IP address) may be a node's at all.
    allows: Callable[[str], bool] = lambda host: True
    #: Whether who speaks from an endpoint has shown that it is this host.
    covers: Callable[[Endpoint, str], bool] = lambda source, host: True
