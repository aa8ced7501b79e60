"""What was answered to whom: RFC 3261's non-INVITE server transaction (17.2.2), for thousands a second.

A request that comes again is not handled again: while its handler still runs the copy is swallowed, later
it gets the stored reply. Owns the key, the memory and its limits; answering is ``bus.py``'s business.

The RFC gives each transaction a timer J of 64 * T1. Here all share two generations that change places every
32 s, so a reply is remembered for 32 to 64 s and costs one dictionary entry: a bare reply is stored as its
status alone and built again from the copy of the request.

====================  ===========================  =================================
what is known of it   the request comes (again)    the handler answers
====================  ===========================  =================================
nothing               run the handler -> RUNNING   (cannot be)
RUNNING               swallow it                   send, -> the reply
a reply               send the reply again         (cannot be)
====================  ===========================  =================================
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b

from dmqcache.bus.bus_counters import BusCounters
from dmqcache.bus.sip.sip_message import SipRequest
from dmqcache.bus.sip.uri import Endpoint

#: Seconds. RFC 3261 timer J over UDP: 64 * T1. No peer repeats a request for longer.
REMEMBERED = 32.0
#: Transactions in one generation: 32 s at 12,000 requests a second; about 60 MB when full.
MAX_ENTRIES = 400_000
#: Bytes of stored replies in one generation.
MAX_BYTES = 16 * 1024 * 1024
#: Bytes of a key. Two different requests within a minute share one with a chance below 1e-27.
KEY_SIZE = 16

#: Known, and its handler has not answered yet. Smaller than any status.
RUNNING = 0

#: RUNNING, the status of a bare reply, or the bytes of any other reply.
Memory = int | bytes


def transaction_key(request: SipRequest, source: Endpoint) -> bytes:
    """What makes a request the same one. Not the branch alone: Kamailio's stateless ones are short numbers
    that come again, so Call-ID, From tag, CSeq and the source count too (RFC 3261 17.2.3)."""
    get = request.headers.get
    text = (
        f"{source.transport}\n{source.host}\n{source.port}\n{get('call-id')}\n{get('from')}\n{get('cseq')}\n"
        f"{request.via.branch}"
    )
    return blake2b(text.encode("utf-8", "surrogateescape"), digest_size=KEY_SIZE).digest()


class Replays:
    """The server transactions of one node."""

    def __init__(
        self,
        now: Callable[[], float],
        counters: BusCounters,
        *,
        max_entries: int = MAX_ENTRIES,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._now = now
        self._counters = counters
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._young: dict[bytes, Memory] = {}
        self._old: dict[bytes, Memory] = {}
        self._young_bytes = 0
        self._born = now()

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def find(self, key: bytes) -> Memory | None:
        """What is known of a request; None: it is new."""
        self.rotate()
        memory = self._young.get(key)
        return memory if memory is not None else self._old.get(key)

    def open(self, key: bytes) -> None:
        """The handler starts."""
        self._store(key, RUNNING)

    def close(self, key: bytes, memory: Memory) -> None:
        """The handler has answered; ``memory`` is what a copy of the request gets."""
        self._old.pop(key, None)
        self._store(key, memory)

    def forget(self, key: bytes) -> None:
        """The request was turned away unhandled: a copy of it deserves another try."""
        self._old.pop(key, None)
        self._young.pop(key, None)

    def rotate(self) -> None:
        """Let the old generation go when it has expired. Cheap; also called while the node is idle."""
        passed = self._now() - self._born
        if passed >= REMEMBERED:
            self._change(keep=passed < 2 * REMEMBERED)

    def _store(self, key: bytes, memory: Memory) -> None:
        self._young[key] = memory
        if isinstance(memory, bytes):
            self._young_bytes += len(memory)
        if len(self._young) > self._max_entries or self._young_bytes > self._max_bytes:
            # A copy of a forgotten request would be handled twice, which the counter shows.
            self._counters.drops["replay_evicted"] += len(self._old)
            self._change(keep=True)

    def _change(self, keep: bool) -> None:
        self._old = self._young if keep else {}
        self._young = {}
        self._young_bytes = 0
        self._born = self._now()
