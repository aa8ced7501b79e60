"""Registrations (``--peer usrloc``) beside Kamailio's own: how long until they are everywhere, and complete.

By hand, for each release that is here: ``python -m bench.registrations [CONTACTS]``.
"""

from __future__ import annotations

import re
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from tests.interop.dmqcache_node import DmqcacheNode
from tests.interop.kamailio import Kamailio
from tests.interop.registering import contact_count, register_many
from tests.interop.releases import RELEASES, NotInstalled, Release
from tests.waiting import NotReady, wait_until

HOSTS = ("127.0.0.91", "127.0.0.92", "127.0.0.93")
CONTACTS = 50_000
REGISTRATIONS = 1000
RUNS = 5
#: Seconds between two looks at how many there are: each takes some milliseconds of who is asked.
POLL_S = 0.02
LONG_POLL_S = 0.25
JOIN_TIMEOUT_S = 10.0
TIMEOUT_S = 120.0
#: What lets a registrar tell many contacts in one message; without it, it sends a message for each. Longer
#: messages than 32,767 bytes no Kamailio from 5.8 on receives.
BATCHES = """modparam("dmq_usrloc","batch_msg_contacts",150)
modparam("dmq_usrloc","batch_msg_size",30000)
"""


@dataclass(frozen=True, slots=True)
class Arrival:
    """Of ``sent`` contacts ``arrived``, the last one after ``seconds``."""

    sent: int
    arrived: int
    seconds: float

    def __str__(self) -> str:
        lost = "" if self.arrived == self.sent else f", {self.sent - self.arrived:,} missing"
        return f"{self.seconds:.2f} s{lost}"


def users(count: int, prefix: str = "user") -> list[str]:
    return [f"{prefix}{number}" for number in range(count)]


def known(node: DmqcacheNode) -> int:
    """How many addresses of record a dmqcache node knows; 0 while it is away."""
    try:
        found = re.search(r"^dmqcache_aors (\d+)", node.http_get("/metrics")[1], re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) if found else 0


def held(registrar: Kamailio) -> int:
    """How many contacts a registrar has; 0 while it is away."""
    try:
        return contact_count(registrar)
    except (OSError, ValueError):
        return 0


def arrival(count: Callable[[], int], wanted: int, began: float, poll: float = LONG_POLL_S) -> Arrival:
    """Wait until there are so many, or as many as come."""
    with suppress(NotReady):
        wait_until(lambda: count() >= wanted, TIMEOUT_S, "all contacts", poll=poll)
    seconds = time.monotonic() - began
    return Arrival(wanted, count(), seconds)


def registrar(host: str, release: Release, seeds: Sequence[str], extra: str = "") -> Kamailio:
    return Kamailio(host, release=release, seeds=seeds, registrar=True, shm_mb=1024, extra_cfg=extra)


@contextmanager
def _filled(one: Kamailio, count: int) -> Iterator[Kamailio]:
    with one:
        register_many(one, users(count))
        assert contact_count(one) == count
        yield one


# ---- the figures ----


def spread(release: Release, count: int = REGISTRATIONS, runs: int = RUNS) -> list[float]:
    """Seconds from the last 200 of ``count`` registrations on one of two registrars, in turn, until the other
    and a dmqcache node have them all."""
    node = DmqcacheNode(HOSTS[0], extra=["--peer", "usrloc"])
    both = [registrar(host, release, [node.uri]) for host in HOSTS[1:]]
    seconds = []
    with ExitStack() as stack:
        for each in (node, *both):
            stack.enter_context(each)
        for each in both:
            each.wait_nodes([node.uri, *(one.uri for one in both)], JOIN_TIMEOUT_S)
        for run in range(runs):
            here, there = both if run % 2 else both[::-1]
            last = register_many(here, users(count, f"run{run}-"))
            wanted = (run + 1) * count
            found = arrival(lambda there=there: min(held(there), known(node)), wanted, last, POLL_S)  # type: ignore[misc]
            if found.arrived != wanted:
                raise NotReady(f"{found.arrived} of {wanted} contacts arrived")
            seconds.append(found.seconds)
    return seconds


def to_kamailio(release: Release, count: int = CONTACTS, extra: str = "") -> Arrival:
    """A registrar that joins a registrar: from its start until it has all."""
    donor, joiner = registrar(HOSTS[1], release, [], extra), HOSTS[2]
    with _filled(donor, count), registrar(joiner, release, [donor.uri], extra) as other:
        return arrival(lambda: held(other), count, time.monotonic())


def both_ways(release: Release, count: int = CONTACTS, extra: str = "") -> tuple[Arrival, Arrival]:
    """A dmqcache node that joins a registrar, and that registrar, begun anew beside dmqcache alone: each from
    its start until it has all."""
    node = DmqcacheNode(HOSTS[0], seeds=[f"sip:{HOSTS[1]}:5060"], extra=["--peer", "usrloc"])
    with ExitStack() as stack:
        # Without a seed: to one that is not there it would send each registration again and again.
        with _filled(registrar(HOSTS[1], release, [], extra), count):
            stack.enter_context(node)
            there = arrival(lambda: known(node), count, time.monotonic())
        again = stack.enter_context(registrar(HOSTS[1], release, [node.uri], extra))
        return there, arrival(lambda: held(again), count, time.monotonic())


def main(arguments: Sequence[str]) -> None:
    """Print the figures of each release."""
    count = int(arguments[0]) if arguments else CONTACTS
    for line, release in RELEASES.items():
        try:
            found = spread(release)
        except NotInstalled as error:
            print(error)
            continue
        print(
            f"{line}: {REGISTRATIONS:,} registrations are on the other registrar and in dmqcache "
            f"{statistics.median(found):.2f} s after the last one (median of {len(found)}, at most "
            f"{max(found):.2f} s)",
            flush=True,
        )
        for words, extra in (("a message for each", ""), ("150 in a message", BATCHES)):
            between = to_kamailio(release, count, extra)
            there, back = both_ways(release, count, extra)
            print(
                f"{line}: {count:,} contacts, {words}: Kamailio to Kamailio {between}; "
                f"to dmqcache {there}; from dmqcache {back}",
                flush=True,
            )


if __name__ == "__main__":
    main(sys.argv[1:])
