"""Does what members do in a scenario that no dmqcache node of this wire does: a method for each event's name.

A dmqcache node tells others what they must refuse (``hostile.py``); a node of an older wire tells its tables.
"""

from __future__ import annotations

import json
from collections import Counter

from dmqcache.store.ground import CONTENT_TYPE, Channel
from dmqcache.store.native.replica import CHANNEL
from dmqcache.store.table.clock import version_at
from tests.simulation.cluster import Cluster
from tests.simulation.hostile import LIE, body_of
from tests.simulation.process import BusProcess


class Lies:
    """The liars of one run, and its nodes of an older wire."""

    def __init__(self, cluster: Cluster, counts: Counter[str]) -> None:
        self._cluster = cluster
        self._counts = counts

    def lie(self, number: int, other: int, name: str, key: str) -> None:
        """A dmqcache node tells another one what is to be refused."""
        machine, told = self._cluster.machines[number], self._cluster.machines[other]
        if machine.running and machine.is_cache and told.is_cache:
            self._cluster.world.current = machine.host
            channel = Channel(machine.cache.bus, CHANNEL)
            body = body_of(name, key, machine.true_ms())
            channel.send(told.uri, body, fast=True)
            self._counts["lies"] += 1

    def older(self, number: int, key: str) -> None:
        """A node of an older wire takes all others for Kamailio nodes, or for some of its own."""
        machine = self._cluster.machines[number]
        process = machine.process
        if not machine.running or not isinstance(process, BusProcess):
            return
        self._cluster.world.current = machine.host
        now = version_at(machine.true_ms())
        said: tuple[dict[str, object], ...] = (
            {"action": 2, "htname": "plain", "cname": key, "type": 2, "strval": LIE, "mode": 1},
            {"rows": {"plain": [[key, LIE, now]]}, "floors": {"plain": now, "flushed": now}},
        )
        for peer, body in zip(process.peers, said, strict=True):
            process.bus.bcast_message(peer, json.dumps(body).encode(), content_type=CONTENT_TYPE)
            self._counts["told by an older wire"] += 1

    def problems(self) -> list[str]:
        """What nodes of an older wire were told."""
        processes = (machine.process for machine in self._cluster.machines)
        olders = (process for process in processes if isinstance(process, BusProcess))
        return [line for process in olders for peer in process.peers for line in peer.heard[:3]]
