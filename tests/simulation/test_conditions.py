"""What a write on a condition promises: exclusive among the clients of one node, not between nodes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.simulation.checks import disagreement
from tests.simulation.cluster import Cluster, Machine
from tests.simulation.commands import run_commands
from tests.simulation.runtime import World
from tests.store_options import store_options

README = Path(__file__).parents[2] / "README.md"
#: How a client asks for a lock, with its own name as the value, and the answer that grants it.
ASKS = {
    "SET NX": (["SET", "lock", "{name}", "NX", "EX", "30"], b"+OK\r\n"),
    "SETNX": (["SETNX", "lock", "{name}"], b":1\r\n"),
    "MSETNX": (["MSETNX", "lock", "{name}"], b":1\r\n"),
    "GETSET": (["GETSET", "lock", "{name}"], b"$-1\r\n"),
}
SECONDS = 2.0


def cluster_of(count: int) -> Cluster:
    cluster = Cluster(World(1), ["dmqcache"] * count, ("plain",), store_options())
    cluster.start()
    cluster.run_until(
        lambda: all(len(one.cache.bus.active_nodes()) == count - 1 for one in cluster.machines), 60
    )
    cluster.run_until(lambda: all(machine.store.ready for machine in cluster.machines), 60)
    return cluster


def asks(machine: Machine, way: str, name: str) -> bool:
    """Whether a client is granted it."""
    words, granted = ASKS[way]
    (reply,) = run_commands(machine, [[word.format(name=name) for word in words]])
    return reply == granted


@pytest.mark.parametrize("way", ASKS)
def test_of_many_clients_of_one_node_exactly_one_is_granted_it(way: str) -> None:
    cluster = cluster_of(3)
    first = cluster.machines[0]
    assert [asks(first, way, f"client {number}") for number in range(20)] == [True] + [False] * 19
    cluster.run(SECONDS)
    # Who asks later on another node is not granted it either.
    assert not asks(cluster.machines[2], way, "late")


@pytest.mark.parametrize("way", ASKS)
def test_two_nodes_that_are_asked_at_once_both_grant_it_and_one_value_stands_on_all(way: str) -> None:
    """It is inherent: neither has heard of the other. The loser can see it, as all nodes end alike."""
    cluster = cluster_of(3)
    granted = [asks(machine, way, machine.host) for machine in cluster.machines[:2]]
    assert granted == [True, True]
    cluster.run(SECONDS)
    assert not disagreement(cluster, forgotten=False, slack=2.0)
    held = {machine.peek("plain", "lock") for machine in cluster.machines}
    assert len(held) == 1 and held <= {machine.host for machine in cluster.machines[:2]}


def test_counting_is_what_two_nodes_can_do_at_once() -> None:
    cluster = cluster_of(3)
    for _ in range(150):
        for machine in cluster.machines[:2]:
            run_commands(machine, [["INCR", "count"]])
    cluster.run(SECONDS)
    assert [machine.peek("plain", "count") for machine in cluster.machines] == [300] * 3


def test_the_readme_says_so_where_it_names_the_commands() -> None:
    text = re.sub(r"\s+", " ", README.read_text("utf-8"))
    (said,) = (part for part in text.split("**") if "exclusive among the clients of one node" in part)
    for name in ("`SET NX`", "`SETNX`", "`GETSET`", "`MULTI`", "locks", "not between nodes"):
        assert name in said
