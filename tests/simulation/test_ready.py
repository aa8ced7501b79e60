"""What a node has that says ready, where those that it could ask do not hear one another."""

from __future__ import annotations

import pytest

from tests.simulation.cluster import Cluster
from tests.simulation.runtime import World
from tests.simulation.test_scenarios import CACHE, meshed, table
from tests.store_options import store_options


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("seconds", [1.0, 5.0, 30.0, 50.0])
def test_who_starts_has_what_a_node_knows_that_its_notification_address_does_not_hear(
    seconds: float, known: bool
) -> None:
    """Suspect at first, then lost: the notification address says so in its list, also to one that it has
    never met before."""
    cluster = Cluster(World(1), (CACHE, CACHE, CACHE), ["t"], store_options(), seeds=1)
    seed, other, starts = cluster.machines
    for machine in cluster.machines if known else (seed, other):
        machine.start()
    cluster.run_until(lambda: meshed(cluster), 60)
    if known:
        starts.crash()
    cluster.run(10)
    cluster.partition([0], [1])
    cluster.run(seconds)
    table(seed)["a"] = 1
    table(other)["b"] = 2
    starts.start()
    cluster.run_until(lambda: starts.store.ready, 5, step=0.001)
    assert dict(table(starts).items()) == {"a": 1, "b": 2}
