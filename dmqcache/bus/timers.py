"""How long to wait before a message is sent again: RFC 3261's answer, and the one from measured round trips.

Owns the numbers and the arithmetic. Who sends and when is ``transaction.py``'s business.
"""

from __future__ import annotations

from dmqcache.defaults import T1

#: Seconds. RFC 3261 timer F, 64 * T1: then nobody will answer any more.
TIMEOUT = 32.0

#: Seconds. Below this a busy process, not the network, decides when an answer comes.
RTO_FLOOR = 0.010
#: The first pauses of a fast schedule grow only by this much: with one message in five lost on each way,
#: the fifth send has left before 60 ms are over and 99.9% of the requests have arrived.
SLOW_GROWTH = 1.25
#: So many pauses grow slowly; later ones double, so that a node that is gone costs little.
SLOW_PAUSES = 4


def rfc_pause(sends: int, t1: float, t2: float) -> float:
    """Seconds from send number ``sends`` (from 1) to the next: timer E, T1 doubling up to T2."""
    return float(min(t1 * 2 ** min(sends - 1, 30), t2))


def fast_pause(sends: int, rto: float, t2: float) -> float:
    """Seconds from send number ``sends`` (from 1) to the next, starting at the node's own ``rto``."""
    slow = min(sends, SLOW_PAUSES) - 1
    doublings = max(sends - SLOW_PAUSES, 0)
    return float(min(rto * SLOW_GROWTH**slow * 2 ** min(doublings, 30), t2))


class RoundTrip:
    """What a node's answers say of the way to it: Jacobson's smoothed mean and deviation (RFC 6298, 2).

    Fed only with samples whose send is known (Karn): a fast request says in its Via which send it was.
    """

    __slots__ = ("srtt", "variation")

    def __init__(self) -> None:
        #: Seconds; None until the first sample.
        self.srtt: float | None = None
        self.variation = 0.0

    def sample(self, seconds: float) -> None:
        """Take one measured round trip. A longer one than T1 counts as T1: the pause is never longer, and a
        node that stood still for a while must not be waited for long after that."""
        seconds = min(seconds, T1)
        if self.srtt is None:
            self.srtt = seconds
            self.variation = seconds / 2
            return
        self.variation += (abs(self.srtt - seconds) - self.variation) / 4
        self.srtt += (seconds - self.srtt) / 8

    def rto(self, ceiling: float = T1) -> float:
        """Seconds to wait before sending again; ``ceiling`` (a stranger's T1) until something is known."""
        if self.srtt is None:
            return ceiling
        return min(max(self.srtt + 4 * self.variation, RTO_FLOOR), ceiling)
