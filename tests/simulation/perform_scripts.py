"""Does what scripts of Kamailio nodes do in a scenario; judges the keys that one script alone writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.simulation.cluster import Cluster, Machine
from tests.simulation.kamailio_model import Kamailio
from tests.simulation.oracle import Oracle, Place


class Scripts:
    """The scripts of one run."""

    def __init__(self, cluster: Cluster, oracle: Oracle) -> None:
        self._cluster = cluster
        self._oracle = oracle
        #: Number of a Kamailio machine -> its process, what it could not deliver before, and its last change.
        self._careful: dict[int, tuple[Kamailio, int, str | None]] = {}
        self._spoilt: set[int] = set()
        #: What scripts removed while some dmqcache node could not hear of it: as with what is removed without
        #: a word, it may stay on the others, and stay removed where it was.
        self.unheard: set[Place] = set()

    def _script(self, number: int, what: Callable[[Any], None]) -> None:
        machine = self._cluster.machines[number]
        if machine.running:
            self._cluster.world.current = machine.host
            what(machine.kamailio.htable)

    def _removes(self, number: int, table: str, what: Callable[[Any], None]) -> None:
        machine = self._cluster.machines[number]
        held = machine.kamailio.htable.tables[table].slots if machine.running else {}
        before = set(held)
        self._script(number, what)
        if not all(self._hears(other, machine) for other in self._cluster.machines if other.is_cache):
            self.unheard |= {(table, key) for key in before - held.keys()}

    def _hears(self, other: Machine, machine: Machine) -> bool:
        """Whether what the Kamailio of ``machine`` says now comes to another one."""
        told = not machine.running or other.spelled in machine.kamailio.active()
        return other.running and told and not self._cluster.network.is_cut(machine.host, other.host)

    def k_careful(self, number: int, value: str | None) -> None:
        machine, key = self._cluster.machines[number], f"z{number}"
        if not machine.running:
            return
        kamailio = machine.kamailio
        if kamailio.pending and any(other.kind == "kamailio62" for other in self._cluster.machines):
            # A 6.2's sets have versions and its deletes have none: a late delete may win over a set after it.
            # Another's change, repeated late, a 6.2 takes for a new one, and shows it with the time of then.
            return
        others = {other.spelled for other in self._cluster.machines if other.up} - {machine.spelled}
        if kamailio.active() != others:
            return
        self._cluster.world.current = machine.host
        self._note(number)
        caches = [other for other in self._cluster.caches() if other.running and other.store.ready]
        if not any(self._hears(other, machine) for other in caches):
            # Nobody need know of it who could settle it with what others hold.
            self._spoilt.add(number)
        self._careful[number] = (kamailio, kamailio.undelivered, value)
        if value is None:
            self._oracle.ended("plain", key)
            kamailio.htable.delete("plain", key)
        else:
            kamailio.htable.set("plain", key, value)

    def _note(self, number: int) -> None:
        """Whether the last change was heard by all, so that it is sure which is the last."""
        before = self._careful.get(number)
        if before is not None and before[0].undelivered != before[1]:
            self._spoilt.add(number)

    def problems(self) -> list[str]:
        """Where a careful script's last word is not what nodes hold."""
        found: list[str] = []
        for number, (kamailio, _, value) in self._careful.items():
            self._note(number)
            if number in self._spoilt or kamailio.pending:
                continue
            for machine in self._cluster.caches():
                held = machine.peek("plain", f"z{number}")
                if held != value:
                    found.append(
                        f"{machine.host}: z{number} is {held!r}, and its Kamailio last said {value!r}"
                    )
        return found

    def k_set(self, number: int, table: str, key: str, value: str | int, seconds: int | None) -> None:
        if seconds:
            self._oracle.ended(table, key)
        self._script(number, lambda htable: htable.set(table, key, value, seconds))

    def k_delete(self, number: int, table: str, key: str) -> None:
        self._oracle.graves.add(table, key, self._cluster.world.now)
        self._oracle.ended(table, key)
        self._removes(number, table, lambda htable: htable.delete(table, key))

    def k_incr(self, number: int, table: str, key: str, by: int) -> None:
        self._script(number, lambda htable: htable.incr(table, key, by))

    def k_expire(self, number: int, table: str, key: str, seconds: int) -> None:
        self._oracle.graves.add(table, key, self._cluster.world.now + max(0, seconds))
        self._oracle.ended(table, key)
        self._script(number, lambda htable: htable.expire(table, key, seconds))

    def k_flush(self, number: int, table: str) -> None:
        self._script(number, lambda htable: htable.flush(table))

    def k_reload(self, number: int, table: str, rows: dict[str, str | int]) -> None:
        self._script(number, lambda htable: htable.reload(table, rows))

    def k_remove(self, number: int, table: str, pattern: str) -> None:
        self._oracle.ended(table)
        self._removes(number, table, lambda htable: htable.remove(table, pattern))
