"""Two Kamailio and two dmqcache nodes find each other, in whatever order they start."""

import itertools

import pytest

from tests.interop.cluster import Cluster, Seeding

pytestmark = pytest.mark.interop

ORDERS = sorted(set(itertools.permutations("kkdd")))
"""Every order of the kinds; which of two like nodes is first makes no difference."""


def _names(kinds: tuple[str, ...]) -> list[str]:
    return [f"{kind}{kinds[: place + 1].count(kind)}" for place, kind in enumerate(kinds)]


@pytest.mark.parametrize("seeding", ["all", "first"])
@pytest.mark.parametrize("kinds", ORDERS, ids="".join)
def test_join_in_every_order(kinds: tuple[str, ...], seeding: Seeding) -> None:
    names = _names(kinds)
    with Cluster("127.0.30.", names, seeding=seeding) as cluster:
        for name in names:
            cluster.start(name).wait_known()
            cluster[name].set_str("users", f"by {name}", name)
        cluster.wait_joined()
        table = cluster.wait_equal("users", 5)
        assert table == {f"by {name}": name for name in names}
        for name in names:
            cluster[name].set_str("users", f"later by {name}", name)
        assert len(cluster.wait_equal("users", 5)) == 8
