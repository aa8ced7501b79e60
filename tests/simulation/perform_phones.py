"""Does what a scenario's phones do: they register at their registrar, register again, and unregister.

A phone does nothing while its registrar has not heard from all nodes about its last word: Kamailio nodes
before 6.2 take the last word to arrive, so of two that are on their way the older may win.
"""

from __future__ import annotations

from collections import Counter

from tests.simulation.cluster import Cluster, Machine
from tests.simulation.contacts import Contacts
from tests.simulation.kamailio_usrloc import KamailioUsrloc


class Phones:
    """The phones of one run."""

    def __init__(self, cluster: Cluster, contacts: Contacts, counts: Counter[str]) -> None:
        self._cluster = cluster
        self._contacts = contacts
        self._counts = counts
        #: Phone -> the key of its contact.
        self._keys: dict[str, str] = {}

    def phone_registers(self, number: int, phone: str, expires: int) -> None:
        """``expires``: seconds, 0: never."""
        registrar = self._registrar(number)
        if registrar is None or self._is_told(phone):
            return
        ruid = self._keys.get(phone)
        if ruid is not None and ruid in registrar.live():
            registrar.refresh(ruid, expires)
            self._counts["refreshes"] += 1
        else:
            ruid = self._keys[phone] = registrar.register(phone, f"sip:{phone}@192.0.2.{number}", expires)
            self._counts["registrations"] += 1
        self._contacts.registered(registrar.contacts[ruid])

    def phone_unregisters(self, number: int, phone: str) -> None:
        registrar = self._registrar(number)
        ruid = self._keys.get(phone)
        if registrar is None or ruid is None or self._is_told(phone) or ruid not in registrar.live():
            return
        del self._keys[phone]
        self._contacts.unregistered(ruid)
        registrar.remove(ruid)
        self._counts["unregistrations"] += 1

    def _registrar(self, number: int) -> KamailioUsrloc | None:
        machine: Machine = self._cluster.machines[number]
        return machine.kamailio.usrloc if machine.running else None

    def _is_told(self, phone: str) -> bool:
        """Whether some node has not answered to the last word yet."""
        ruid = self._keys.get(phone, "")
        return any(machine.kamailio.telling[ruid] for machine in self._cluster.kamailios())
