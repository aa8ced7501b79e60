"""Does to a cluster what a scenario's faults say: one method for each event's name."""

from __future__ import annotations

from tests.simulation.cluster import Cluster, Machine
from tests.simulation.network import Weather
from tests.simulation.oracle import Oracle


class Faults:
    """The faults of one run."""

    def __init__(self, cluster: Cluster, oracle: Oracle) -> None:
        self._cluster = cluster
        self._oracle = oracle

    def _machine(self, number: int) -> Machine:
        return self._cluster.machines[number]

    def weather(self, weather: Weather) -> None:
        self._cluster.network.weather = weather

    def link(self, one: int, other: int, weather: Weather) -> None:
        self._cluster.network.links[self._machine(one).host, self._machine(other).host] = weather

    def partition(self, *groups: tuple[int, ...]) -> None:
        self._cluster.partition(*groups)

    def join(self, *groups: tuple[int, ...]) -> None:
        for one in groups:
            for other in groups:
                for a in one:
                    for b in other:
                        if one is not other:
                            self.uncut(a, b)

    def cut(self, one: int, other: int) -> None:
        self._cluster.network.cut.add((self._machine(one).host, self._machine(other).host))

    def uncut(self, one: int, other: int) -> None:
        self._cluster.network.join(self._machine(one).host, self._machine(other).host)

    def start(self, number: int) -> None:
        self._machine(number).start()

    def crash(self, number: int) -> None:
        self._machine(number).crash()

    def stop(self, number: int) -> None:
        self._machine(number).stop()

    def go_on(self, number: int) -> None:
        self._machine(number).go_on()

    def leave(self, number: int) -> None:
        self._machine(number).leave()

    def slow(self, number: int, seconds: float, limit: int) -> None:
        self._machine(number).slow(seconds, limit)

    def jump_all(self, milliseconds: int) -> None:
        self._oracle.leaps(milliseconds)
        for machine in self._cluster.machines:
            machine.jump(milliseconds)
            self._oracle.clock(machine.skew_ms)

    def jump(self, number: int, milliseconds: int) -> None:
        self._machine(number).jump(milliseconds)
