"""Kamailio and dmqcache nodes find each other, in whatever order they start."""

import itertools
from collections.abc import Iterator

import pytest

from tests.interop.cluster import Cluster, Seeding
from tests.interop.lineups import LINEUPS, ONE

pytestmark = pytest.mark.interop

ORDERS = ["".join(order) for order in sorted(set(itertools.permutations("kkdd")))]
"""Every order of the kinds; which of two like nodes is first makes no difference."""

MIXED_ORDERS = ["kkkdd", "kdkdk", "kddkk", "dkkdk", "dkdkk", "ddkkk"]
"""Here each Kamailio is of another release."""

SEEDINGS: tuple[Seeding, Seeding] = ("all", "first")


def _cases() -> Iterator[tuple[str, str, Seeding]]:
    """Line-up, order and seeding: all of them on one release, by turns on the others."""
    for lineup in LINEUPS:
        orders = MIXED_ORDERS if lineup == "mixed" else ORDERS
        for number, order in enumerate(orders):
            for seeding in SEEDINGS if lineup == ONE else (SEEDINGS[number % 2],):
                yield lineup, order, seeding


def _names(kinds: str) -> list[str]:
    return [f"{kind}{kinds[: place + 1].count(kind)}" for place, kind in enumerate(kinds)]


@pytest.mark.parametrize(("lineup", "kinds", "seeding"), list(_cases()))
def test_join_in_every_order(lineup: str, kinds: str, seeding: Seeding) -> None:
    names = _names(kinds)
    with Cluster("127.0.30.", names, seeding=seeding, lineup=lineup) as cluster:
        for name in names:
            cluster.start(name).wait_known()
            cluster[name].set_str("users", f"by {name}", name)
        cluster.wait_joined()
        table = cluster.wait_equal("users", 20)
        assert table == {f"by {name}": name for name in names}
        for name in names:
            cluster[name].set_str("users", f"later by {name}", name)
        assert len(cluster.wait_equal("users", 20)) == 2 * len(names)
