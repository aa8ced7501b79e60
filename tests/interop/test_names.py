"""A Kamailio whose `server_address` is a host name: for all others, and for itself, it stays one node."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.interop.cluster import TABLES
from tests.interop.daemon import wait_until
from tests.interop.dmqcache_node import DmqcacheNode
from tests.interop.kamailio import Kamailio
from tests.interop.netns import Network
from tests.interop.releases import RELEASES

pytestmark = pytest.mark.interop

NAME = "kam.example"
INCREMENTS = 1_000
JOIN_TIMEOUT_S = 30.0
SEEN_TIMEOUT_S = 15.0
QUIET_LOOKS = 12
QUIET_TIMEOUT_S = 40.0

NAMES = ("k1", "d1", "d2", "k2")


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    with Network(NAMES, tag="names", number=83, records={(NAME, "A"): ["198.18.83.11"]}) as network:
        yield network


class Named:
    """k1 calls itself by name and joins d1; d2 joins d1, and k2 joins d2: they only hear of k1."""

    def __init__(self, network: Network, line: str, names: tuple[str, ...]) -> None:
        uris = {name: f"sip:{network.address(name)}:5060" for name in NAMES}
        seeds = {"k1": ["d1"], "d1": [], "d2": ["d1"], "k2": ["d2"]}
        self.nodes: dict[str, Kamailio | DmqcacheNode] = {}
        for name in names:
            told = [uris[seed] for seed in seeds[name]]
            host, space = network.address(name), network.namespace(name)
            if name.startswith("d"):
                self.nodes[name] = DmqcacheNode(host, tables=TABLES, seeds=told, namespace=space)
            else:
                self.nodes[name] = Kamailio(
                    host,
                    release=RELEASES[line],
                    tables=TABLES,
                    seeds=told,
                    namespace=space,
                    name=NAME if name == "k1" else "",
                    # Of two increments in a row the other Kamailio must not take the later one first.
                    workers=1,
                )
        self.addresses = [uris[name] for name in names]
        self.spelled = [f"sip:{NAME}:5060" if name == "k1" else uris[name] for name in names]

    def join(self) -> None:
        for node in self.nodes.values():
            node.start()
        for node in self.nodes.values():
            known = self.addresses if isinstance(node, DmqcacheNode) else self.spelled
            node.wait_nodes(known, JOIN_TIMEOUT_S)

    def wait_quiet(self) -> None:
        """Until the comparisons after a join are over: a sum that they bring is older than what is counted
        meanwhile, and a Kamailio takes it."""
        sent: list[float] = []
        nodes = [node for node in self.nodes.values() if isinstance(node, DmqcacheNode)]

        def quiet() -> bool:
            name = "dmqcache_messages_total"
            labels = {"channel": "htable", "direction": "out"}
            sent.append(sum(node.metric(name, code="request", **labels) for node in nodes))
            return len(sent) > QUIET_LOOKS and len(set(sent[-QUIET_LOOKS:])) == 1

        wait_until(quiet, QUIET_TIMEOUT_S, lambda: f"no more comparisons: {sent[-10:]}", poll=0.25)


@pytest.mark.parametrize("names", [("d1", "k1"), ("d1", "k1", "d2", "k2")], ids=["joins us", "heard of"])
@pytest.mark.parametrize("line", tuple(RELEASES))
def test_a_thousand_increments_of_a_named_kamailio_are_a_thousand(
    network: Network, line: str, names: tuple[str, ...]
) -> None:
    named = Named(network, line, names)
    with ExitStack() as stack:
        for node in named.nodes.values():
            stack.callback(node.close)
        named.join()
        first = named.nodes["k1"]
        assert isinstance(first, Kamailio)
        assert set(first.nodes()) == set(named.spelled)
        named.wait_quiet()
        for _ in range(INCREMENTS):
            first.incr("calls", "counter")
        for name, node in named.nodes.items():
            wait_until(
                lambda node=node: node.get("calls", "counter") == INCREMENTS,  # type: ignore[misc]
                SEEN_TIMEOUT_S,
                lambda name=name, node=node: f"{name} has {INCREMENTS}, not {node.get('calls', 'counter')}",  # type: ignore[misc]
            )
        assert set(first.nodes()) == set(named.spelled)
