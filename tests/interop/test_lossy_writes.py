"""What a script on a Kamailio node does twice in a moment, of which the network loses every tenth message.

Each key is written and then written again at once: with a time to live, with a second value, by a delete. A
lost message comes again half a second later, when the others have long come. One dmqcache node listens: of
two each gives such a write a version of its own, and may take the other's for the later one.
"""

from collections.abc import Iterator

import pytest

from tests.interop.cluster import Cluster
from tests.interop.daemon import wait_until
from tests.interop.lineups import LINEUPS, each_lineup
from tests.interop.netns import Network

pytestmark = [pytest.mark.interop, each_lineup]

LOSS = 0.10
KEYS = 60
"""Of each kind and writer: some of them lose their first message, some their second."""
TTL_S = 600
EQUAL_S = 25.0
"""A Kamailio sends a message for the last time 7.5 s after the first; a machine may stand still for some."""


@pytest.fixture(scope="module")
def cluster(lineup: str) -> Iterator[Cluster]:
    names = ("d1", *LINEUPS[lineup].kamailios)
    with Network(names, tag="loss", number=79) as network:
        network.set_loss(LOSS)
        with Cluster("", names, network=network, lineup=lineup) as cluster:
            yield cluster.join(timeout=30)


def test_the_second_of_two_writes_in_a_moment_counts_though_messages_are_lost(cluster: Cluster) -> None:
    kamailios = [name for name in cluster.names if name.startswith("k")]
    keys = [f"{name} {number}" for number in range(KEYS) for name in kamailios]
    for key in keys:
        node = cluster.kamailio(key.split()[0])
        node.set_str("users", f"time {key}", "x", ttl=TTL_S)
        node.set_again("users", f"second {key}", "second")
        node.set_and_delete("users", f"gone {key}", "x")
    expected = {f"time {key}": "x" for key in keys} | {f"second {key}": "second" for key in keys}

    def wrong() -> list[str]:
        """What the dmqcache node holds otherwise, or for another time."""
        held = cluster["d1"].dump("users")
        found = [key for key, value in held.items() if expected.get(key) != value]
        found += [f"no {key}" for key in expected.keys() - held.keys()]
        left = {key: cluster["d1"].ttl("users", f"time {key}") or 0 for key in keys}
        return found + [f"{key} for {s} s" for key, s in left.items() if abs(s - TTL_S) > 2 * EQUAL_S]

    wait_until(lambda: not wrong(), EQUAL_S, lambda: f"all as written: {wrong()[:20]}")
