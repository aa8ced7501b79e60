"""Three registrars, a dmqcache node at one's side, that are cut from each other for a while: soon they agree.

Kamailio alone never mends this: what was registered, refreshed or removed on one side stays so there.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.interop.daemon import wait_until
from tests.interop.dmqcache_node import DmqcacheNode
from tests.interop.kamailio import Kamailio
from tests.interop.netns import Network
from tests.interop.releases import RELEASES

pytestmark = pytest.mark.interop

SIDES = (("d1", "k1"), ("k2", "k3"))
LINES = {"k1": "5.6", "k2": "6.0", "k3": "6.1"}
PARTITION_S = 60.0
"""A Kamailio repeats a message for half a minute."""
WAYS = ("new", "refreshed", "removed")
JOIN_TIMEOUT_S = 30.0
NOTICED_TIMEOUT_S = 30.0
AGREE_TIMEOUT_S = 25.0
"""Seven seconds are usual."""


class Bus:
    """A dmqcache node and two registrars, each in a network of its own."""

    def __init__(self, network: Network) -> None:
        self.node = DmqcacheNode(
            network.address("d1"), namespace=network.namespace("d1"), extra=["--peer", "usrloc"]
        )
        self.registrars = {
            name: Kamailio(
                network.address(name),
                release=RELEASES[line],
                namespace=network.namespace(name),
                seeds=[self.node.uri],
                registrar=True,
                ping_interval=10,
            )
            for name, line in LINES.items()
        }

    def differs(self, there: set[str], gone: set[str]) -> dict[str, list[str]]:
        """Who lacks what, or has too much."""
        known = {row["aor"] for row in self.node.contacts().values()}
        holders = {"d1": known} | {
            name: {user for user in there | gone if one.has_contact(user)}
            for name, one in self.registrars.items()
        }
        return {name: wrong for name, has in holders.items() if (wrong := sorted(there - has | gone & has))}

    def wait_agree(self, there: set[str], gone: set[str], timeout: float) -> None:
        wait_until(
            lambda: not self.differs(there, gone),
            timeout,
            lambda: f"all agree; wrong: {self.differs(there, gone)}\n{self.node.diagnosis()}",
            poll=0.5,
        )


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    with Network(("d1", *LINES), tag="regs", number=86) as network:
        yield network


@pytest.fixture(scope="module")
def bus(network: Network) -> Iterator[Bus]:
    bus = Bus(network)
    with ExitStack() as stack:
        for node in (bus.node, *bus.registrars.values()):
            stack.enter_context(node)
        uris = [bus.node.uri, *(one.uri for one in bus.registrars.values())]
        for registrar in bus.registrars.values():
            registrar.wait_nodes(uris, JOIN_TIMEOUT_S)
        yield bus


def test_all_agree_after_a_partition(bus: Bus, network: Network) -> None:
    before = {f"{way}{name}" for way in WAYS[1:] for name in bus.registrars}
    for name, registrar in bus.registrars.items():
        for way in WAYS[1:]:
            registrar.register(f"{way}{name}")
    bus.wait_agree(before, set(), JOIN_TIMEOUT_S)
    second = time.monotonic() + 1.1  # A contact knows the second of its refresh.
    wait_until(lambda: time.monotonic() > second, 15, "the next second")
    with network.partition(*SIDES):
        cut = time.monotonic()
        away = bus.registrars["k2"].uri
        wait_until(lambda: bus.node.nodes()[away] != "active", NOTICED_TIMEOUT_S, bus.node.diagnosis)
        for name, registrar in bus.registrars.items():
            registrar.register(f"new{name}")
            registrar.register(f"refreshed{name}", expires=7200, cseq=2)
            registrar.register(f"removed{name}", expires=0, cseq=2)
        wait_until(lambda: time.monotonic() > cut + PARTITION_S, PARTITION_S + 5, "messages are given up")
    healed = time.monotonic()
    there = {f"{way}{name}" for way in WAYS[:2] for name in bus.registrars}
    gone = {f"removed{name}" for name in bus.registrars}
    bus.wait_agree(there, gone, AGREE_TIMEOUT_S)
    print(f"all agree {time.monotonic() - healed:.1f} s after the healing")
    for name in bus.registrars:
        (row,) = bus.node.contacts(f"refreshed{name}").values()
        assert row["expires_s"] > 7000


def test_so_it_stays(bus: Bus) -> None:
    later = time.monotonic() + 5
    wait_until(lambda: time.monotonic() > later, 10, "some time passes")
    there = {f"{way}{name}" for way in WAYS[:2] for name in bus.registrars}
    assert not bus.differs(there, {f"removed{name}" for name in bus.registrars})
