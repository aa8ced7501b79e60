"""The Redis commands on virtual time: what one connection's commands are answered by a simulated node."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from dmqcache.server.resp.command_table import execute
from dmqcache.server.resp.cursors import Cursors
from dmqcache.server.resp.session import Session, Shared
from tests.simulation.cluster import Machine


def run_commands(machine: Machine, commands: Sequence[list[str]]) -> list[bytes]:
    """The answers, on a connection of their own."""
    store, runtime = machine.store, machine.cache.runtime
    node: Any = SimpleNamespace(tables=store.tables, memory=store.memory, peers={})
    shared = Shared(node, lambda: runtime.wall_ms() / 1000, runtime.now, Cursors(), execute)
    session = Session(shared, machine.host, lambda: None, lambda data: None)
    replies: list[bytes] = []
    for command in commands:
        reply = execute(session, command)
        assert isinstance(reply, bytes), command
        replies.append(reply)
    return replies
