"""A judge of registrations that trusts nothing of dmqcache's: it knows what phones did and what travelled.

Of each contact it keeps all that a registrar has said. So a dmqcache node shows nothing that no registrar has
said, tells none such, and removes nothing that no phone has unregistered; and in the end what somebody has,
and nobody removed, is on all dmqcache nodes and all registrars alike, and what was removed is nowhere, if a
dmqcache node that still runs has heard the removal. (A removal that nobody heard before its registrar ended
never was.)
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from tests.simulation.cluster import Cluster, Machine
from tests.simulation.kamailio_usrloc import REMOVE, UPDATE, Fields, read

#: Seconds before its time is over within which a contact may be gone already: clocks differ, and a registrar
#: keeps whole seconds.
SLACK_S = 5.0
#: Attributes do not travel in batches.
XAVPS = "xavps"


def plain(fields: Fields) -> Fields:
    """All that is told in every way."""
    return {name: value for name, value in fields.items() if name not in (XAVPS, "action")}


class Contacts:
    """The registrations of one run."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        #: What is wrong, found at any moment.
        self.problems: list[str] = []
        #: Key -> all that registrars have said of a contact, the last word last.
        self.said: dict[str, list[Fields]] = {}
        #: What phones have unregistered.
        self.removed: set[str] = set()
        #: Key -> processes of dmqcache nodes that were told of its removal by a registrar.
        self._witnesses: dict[str, set[str]] = {}
        #: What must be everywhere once all is healed, with the latest end that anybody knew (Unix seconds);
        #: and what nowhere.
        self._due: dict[str, float] = {}
        self._gone: set[str] = set()

    # -- what happens ------------------------------------------------------------------------------------

    def registered(self, fields: Fields) -> None:
        """A phone has registered, or again."""
        self.said.setdefault(fields["ruid"], []).append(plain(fields))

    def unregistered(self, ruid: str) -> None:
        """A phone has removed its contact."""
        self.removed.add(ruid)

    def told(self, host: str, body: bytes, by_ours: bool) -> None:
        """A registrar at ``host`` is told this. ``by_ours``: by a dmqcache node."""
        for word in read(body) or ():
            if not by_ours or word.get("action") not in (UPDATE, REMOVE):
                continue
            ruid = word["ruid"]
            if word["action"] == UPDATE and plain(word) not in self.said.get(ruid, ()):
                self._accuse(f"{host} is told what no registrar has said: {word}")
            if word["action"] == REMOVE and not (ruid in self.removed or ruid in self._soon()):
                self._accuse(f"{host} is told that {ruid} was removed, and nobody has removed it")

    def heard(self, machine: Machine, body: bytes) -> None:
        """A dmqcache node has taken this in, from anybody."""
        for word in read(body) or ():
            if word.get("action") == REMOVE and word["ruid"] in self.removed:
                self._witnesses.setdefault(word["ruid"], set()).add(machine.life)

    def _accuse(self, what: str) -> None:
        if len(self.problems) < 20:
            self.problems.append(f"{self._cluster.world.now:.3f} s: {what}")

    # -- the end -----------------------------------------------------------------------------------------

    def heals(self) -> None:
        """From now on nobody registers, and all come together."""
        lives = {machine.life for machine in self._cluster.caches() if not machine.leaving}
        self._gone = {ruid for ruid, witnesses in self._witnesses.items() if witnesses & lives}
        for held in self._held().values():
            for ruid in held.keys() - self.removed:
                until = held[ruid]["expires"] or math.inf
                self._due[ruid] = max(until, self._due.get(ruid, until))

    def disagreement(self) -> list[str]:
        """Who has not got what all must have, or has what nobody may have. Nobody: everything is well. What
        Kamailio nodes alone make of it is nobody's promise."""
        if not self._cluster.caches():
            return []
        found = list(self._strange())
        held = self._held()
        soon = self._soon()
        # Nobody remembers that they were refreshed: who was told has died.
        over = {ruid for ruid, until in self._due.items() if until <= self._now() + SLACK_S}
        for host, mine in held.items():
            found += [f"{host} has contact {ruid}, which was removed" for ruid in mine if ruid in self._gone]
            missing = sorted(self._due.keys() - mine.keys() - soon - over)
            found += [f"{host} lacks contact {ruid}" for ruid in missing]
        first, *others = held.items() if held else [("", {})]
        for host, theirs in others:
            for ruid in sorted((first[1].keys() | theirs.keys()) - soon):
                mine, its = first[1].get(ruid), theirs.get(ruid)
                if mine != its:
                    found.append(f"contact {ruid}: {first[0]} has {_short(mine)}, {host} has {_short(its)}")
        return found

    def _strange(self) -> Iterator[str]:
        for machine in self._cluster.caches():
            for ruid, fields in machine.contacts().items():
                if plain(fields) not in self.said.get(ruid, ()):
                    yield f"{machine.host} shows a contact that no registrar has said: {fields}"

    def _held(self) -> dict[str, dict[str, Fields]]:
        """Host -> what it has. Who stands still on the way out takes what it has along."""
        machines = [one for one in self._cluster.machines if one.up and one.has_contacts and not one.leaving]
        return {
            machine.host: {ruid: plain(fields) for ruid, fields in machine.contacts().items()}
            for machine in machines
        }

    def _now(self) -> float:
        """Unix seconds by a true clock."""
        return self._cluster.machines[0].true_ms() / 1000

    def _soon(self) -> set[str]:
        """Contacts whose time is over, or almost."""
        now = self._now()
        return {
            ruid
            for ruid, states in self.said.items()
            if any(state["expires"] and state["expires"] <= now + SLACK_S for state in states[-2:])
        }


def _short(fields: Fields | None) -> str:
    if fields is None:
        return "none"
    return f"its word {fields['cseq']} until {fields['expires']}"
