"""Many keys, each written by two dmqcache nodes at once, while something makes what they tell the Kamailio
nodes, or each other, late: soon no node differs, and no comparison of tables is waited for.
"""

from __future__ import annotations

import pytest

from dmqcache.bus.sip.uri import Endpoint
from dmqcache.store.kamailio.compare import ROUTINE_S
from tests.simulation.cluster import Cluster
from tests.simulation.kamailio_model import Kamailio
from tests.simulation.kamailio_sip import Request
from tests.simulation.network import Weather
from tests.simulation.test_scenarios import CACHE, K5, K62, make, table

KEYS = 150
#: Seconds from the start: the first of the routine comparisons of tables is over, and the next is far.
STARTED_S = ROUTINE_S + 10.0
#: Seconds by which a worker takes a message late, and how many of all it does.
LATE_S, LATE = 6.0, 0.1
#: Seconds between the two writes of a key, and between two keys.
GAPS = (0.0, 0.0003, 0.001, 0.01, 0.3)
PACE_S = 0.02
#: Keys, 2.5 s of them, that are written while the two do not hear each other; seconds in which they do then.
BLINK = 30
JOINED_S = 2.0
#: Seconds after the last that was late.
EQUAL_S = 6.0


def write_pairs(cluster: Cluster, first_key: int = 0, keys: int = KEYS) -> None:
    """Each key by both nodes, either first; in every fifth pair the second deletes it."""
    for number in range(first_key, first_key + keys):
        first, second = cluster.caches() if number % 2 else reversed(cluster.caches())
        table(first)[f"k{number}"] = "of the first"
        cluster.run(GAPS[number % len(GAPS)])
        if number % 7 == 0:
            table(second).delete(f"k{number}")
        else:
            table(second)[f"k{number}"] = "of the second"
        cluster.run(PACE_S)


def differing(cluster: Cluster) -> dict[str, list[str | int | None]]:
    """What each node holds of the keys of which they do not hold the same."""
    held = {key: [each.peek("t", key) for each in cluster.machines] for key in map("k{}".format, range(KEYS))}
    return {key: values for key, values in held.items() if len(set(values)) > 1}


@pytest.mark.parametrize("seed", range(3))
def test_though_workers_of_the_kamailio_nodes_take_some_messages_seconds_late(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = make(CACHE, CACHE, K5, K62, seed=seed)
    cluster.run(STARTED_S)
    takes = Kamailio._on_htable

    def takes_late(self: Kamailio, request: Request, source: Endpoint) -> None:
        late = self._runtime.random() < LATE
        pause = LATE_S * self._runtime.random() if late else 0.0
        self._runtime.call_later(pause, lambda: takes(self, request, source))

    monkeypatch.setattr(Kamailio, "_on_htable", takes_late)
    write_pairs(cluster)
    monkeypatch.undo()
    cluster.run(LATE_S + EQUAL_S)
    assert not differing(cluster)


@pytest.mark.parametrize("seed", range(3))
def test_though_a_third_of_all_datagrams_is_lost(seed: int) -> None:
    cluster = make(CACHE, CACHE, K5, K62, seed=seed)
    cluster.run(STARTED_S)
    cluster.network.weather = Weather(loss=0.3)
    write_pairs(cluster)
    cluster.network.weather = Weather()
    cluster.run(LATE_S + EQUAL_S)
    assert not differing(cluster)


@pytest.mark.parametrize("seed", range(3))
def test_though_the_two_hear_nothing_of_each_other_for_seconds(seed: int) -> None:
    cluster = make(CACHE, CACHE, K5, K62, seed=seed)
    cluster.run(STARTED_S)
    one, other = (each.host for each in cluster.caches())
    for start in range(0, KEYS, BLINK):
        # Too short to find each other dead.
        cluster.network.cut |= {(one, other), (other, one)}
        write_pairs(cluster, start, BLINK)
        cluster.network.join_all()
        cluster.run(JOINED_S)
    cluster.run(LATE_S + EQUAL_S)
    assert not differing(cluster)
