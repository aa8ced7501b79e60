"""The clocks of all nodes were ahead and are set right at once: whatever is written then is the newest."""

from __future__ import annotations

import pytest

from dmqcache.store.table.clock import MAX_AHEAD_MS
from tests.simulation.cluster import Machine
from tests.simulation.test_scenarios import CACHE, caches_agree, make, table

#: Keys of each kind: one for each moment at which it is written anew.
PAUSES_S = (0.0, 0.3, 1.0, 3.0, 10.0, 40.0)


def fill(machine: Machine) -> None:
    for number in range(len(PAUSES_S)):
        for kind in ("set", "deleted", "made"):
            table(machine)[f"{kind}{number}"] = "old"
        table(machine).incr(f"counted{number}", 5)
        table(machine).delete(f"made{number}")


def write(machine: Machine, number: int) -> None:
    table(machine)[f"set{number}"] = "new"
    table(machine).delete(f"deleted{number}")
    table(machine)[f"made{number}"] = "new"
    table(machine).incr(f"counted{number}", 2)


def wanted() -> dict[str, object]:
    numbers = range(len(PAUSES_S))
    values: dict[str, object] = {f"{kind}{number}": "new" for kind in ("set", "made") for number in numbers}
    return values | {f"counted{number}": 7 for number in numbers}


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("step_s", [5, 60, 7_200])
@pytest.mark.parametrize("flushed", [False, True])
@pytest.mark.parametrize("restarted", [False, True])
def test_what_is_written_after_all_clocks_were_set_back_stays(
    size: int, step_s: int, flushed: bool, restarted: bool
) -> None:
    cluster = make(*[CACHE] * size)
    for machine in cluster.machines:
        machine.jump(1_000 * step_s)
    cluster.run(20)
    if flushed:
        table(cluster.machines[0]).flush()
        cluster.run(1)
    fill(cluster.machines[0])
    cluster.run(5)
    if restarted:
        cluster.machines[-1].crash()
    for machine in cluster.machines:
        machine.jump(-1_000 * step_s)
    if restarted:
        # It holds nothing of what lies ahead, and refuses it.
        cluster.machines[-1].start()
    so_far = 0.0
    for number, pause in enumerate(PAUSES_S):
        cluster.run(pause - so_far)
        so_far = pause
        writers = [one for one in cluster.caches() if one.store.ready]
        write(writers[number % len(writers)], number)
    cluster.run(30 + MAX_AHEAD_MS / 1_000)
    for machine in cluster.machines:
        assert dict(table(machine).items()) == wanted()
    assert caches_agree(cluster)


def test_clocks_that_are_set_back_one_after_another_undo_nothing() -> None:
    cluster = make(CACHE, CACHE, CACHE)
    for machine in cluster.machines:
        machine.jump(60_000)
    cluster.run(20)
    fill(cluster.machines[0])
    cluster.run(5)
    for number, machine in enumerate(cluster.machines):
        machine.jump(-60_000)
        cluster.run(0.7)
        write(cluster.machines[(number + 1) % 3], number)
        cluster.run(3)
    for number in range(3, len(PAUSES_S)):
        write(cluster.machines[number % 3], number)
        cluster.run(5)
    cluster.run(40)
    for machine in cluster.machines:
        assert dict(table(machine).items()) == wanted()


@pytest.mark.parametrize("step_s", [60, -60])
def test_all_know_within_seconds_that_all_clocks_were_set(step_s: int) -> None:
    cluster = make(*[CACHE] * 6)
    cluster.run(40)
    for machine in cluster.machines:
        machine.jump(1_000 * step_s)
    cluster.run(3)
    assert [machine.store.clock.correction for machine in cluster.machines] == [0] * 6


@pytest.mark.parametrize("pause", [0.0, 0.05, 0.13, 0.2, 0.3, 1.0])
@pytest.mark.parametrize("late", [False, True])
def test_a_flush_after_all_clocks_were_set_back_kills_what_was_written_before(
    pause: float, late: bool
) -> None:
    """Also where it is dated by a node that has not heard yet that the others' clocks were set too, and its
    version is brought down later."""
    cluster = make(CACHE, CACHE)
    cluster.network.weather.delay = 0.04
    for machine in cluster.machines:
        machine.jump(7_200_000)
    cluster.run(20)
    fill(cluster.machines[0])
    cluster.run(5)
    for machine in cluster.machines:
        machine.jump(-7_200_000)
    cluster.run(pause)
    if late:
        cluster.partition([0], [1])
    table(cluster.machines[0]).flush()
    cluster.run(3)
    cluster.heal()
    cluster.run(15)
    assert [dict(table(machine).items()) for machine in cluster.machines] == [{}, {}]
