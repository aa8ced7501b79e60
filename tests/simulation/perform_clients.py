"""Does what clients of dmqcache nodes do in a scenario, through the tables or the Redis commands, and tells
the oracle what they were answered: one method for each event's name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from dmqcache.store.table.patterns import MatchKind
from tests.simulation.cluster import Cluster, Machine
from tests.simulation.commands import run_commands
from tests.simulation.operations import TOO_LONG
from tests.simulation.oracle import COUNTED, KEPT, Oracle, Place, State
from tests.simulation.sums import Counter as Sums
from tests.simulation.watch import Watch

Value = str | int
#: Seconds after which a client goes away that waits without end.
PATIENCE_S = 5.0


class Clients:
    """The clients of one run."""

    def __init__(self, cluster: Cluster, oracle: Oracle, watch: Watch, counts: Counter[str]) -> None:
        self._cluster = cluster
        self._oracle = oracle
        self._watch = watch
        self._counts = counts
        self._bursts = 0

    # -- helpers -----------------------------------------------------------------------------------------

    def _machine(self, number: int) -> Machine | None:
        """The node, if one listens there."""
        machine = self._cluster.machines[number]
        if not machine.running:
            self._counts["refused to clients"] += 1
            return None
        self._cluster.world.current = machine.host
        return machine

    def _table(self, machine: Machine, table: str) -> Any:
        return machine.store.tables[table]

    def _try(self, what: Callable[[], Any]) -> Any:
        try:
            return what()
        except ValueError:
            self._counts["client errors"] += 1
            return None

    def _known(self, machine: Machine, place: Place) -> State:
        self._oracle.of(place)
        return self._oracle.look(machine, place)

    def _put(
        self, machine: Machine, place: Place, value: Value | None, ttl: float | None, what: Callable[[], Any]
    ) -> Any:
        """A set, delete or change of time of a judged key: what is there after ``what`` has said yes."""
        known = self._known(machine, place)
        done = self._try(what)
        if done:
            self._oracle.wrote(machine, place, (value,), known, ttl or 0.0)
        return done

    # -- calls -------------------------------------------------------------------------------------------

    def set(self, number: int, table: str, key: str, value: Value, ttl: float | None) -> None:
        machine = self._machine(number)
        if machine is None:
            return
        held = self._table(machine, table)
        if key[0] in KEPT:
            self._put(machine, (table, key), value, ttl, lambda: held.set(key, value, ttl) or True)
        else:
            self._buried(table, key, ttl)
            self._try(lambda: held.set(key, value, ttl))

    def set_sum(self, number: int, key: str) -> None:
        """Begin a counter anew."""
        machine, place = self._machine(number), ("plain", key)
        counter = self._oracle.of(place)
        assert isinstance(counter, Sums)
        value = counter.next_set()
        if machine is not None and value is not None:
            held = self._table(machine, "plain")
            self._put(machine, place, value, None, lambda: held.set(key, value) or True)

    def delete(self, number: int, table: str, key: str) -> None:
        machine = self._machine(number)
        if machine is None:
            return
        held = self._table(machine, table)
        if key[0] in KEPT + COUNTED:
            self._put(machine, (table, key), None, None, lambda: held.delete(key))
        else:
            self._buried(table, key, 1.0)
            self._try(lambda: held.delete(key))

    def expire(self, number: int, table: str, key: str, ttl: float) -> None:
        machine = self._machine(number)
        if machine is None:
            return
        held = self._table(machine, table)
        if key[0] in KEPT:
            value = machine.peek(table, key)
            self._put(machine, (table, key), value, ttl, lambda: held.expire(key, ttl))
        else:
            self._buried(table, key, ttl)
            self._try(lambda: held.expire(key, ttl))

    def incr(self, number: int, table: str, key: str, by: int) -> None:
        machine, place = self._machine(number), (table, key)
        if machine is None:
            return
        held = self._table(machine, table)
        if key[0] not in COUNTED:
            self._try(lambda: held.incr(key, by))
            return
        counter = self._oracle.of(place)
        assert isinstance(counter, Sums)
        step = counter.next_increment(-1 if by < 0 else 1)
        # Counters that are set and deleted count only on nodes that are ready.
        if step is None or (key[0] == "r" and not machine.store.ready):
            return
        before = self._known(machine, place)
        total = self._try(lambda: held.incr(key, step))
        if total is not None:
            self._oracle.counted(machine, place, step, total, before)

    def remove(self, number: int, table: str, pattern: str) -> None:
        machine = self._machine(number)
        if machine is None:
            return
        held = self._table(machine, table)
        keys = [key for key in held.match(MatchKind.REGEX, pattern) if key[0] in KEPT]
        known = {key: self._known(machine, (table, key)) for key in keys}
        held.delete_matching(MatchKind.REGEX, pattern)
        for key, state in known.items():
            self._oracle.wrote(machine, (table, key), (None,), state)

    def flush(self, number: int, table: str) -> None:
        machine = self._machine(number)
        if machine is not None:
            self._oracle.look_at_all(machine)
            self._table(machine, table).flush()
            self._oracle.flushed(machine, table, self._watch.all_hear(machine))

    def bulk(self, number: int, table: str, count: int) -> None:
        machine = self._machine(number)
        for index in range(count if machine is not None else 0):
            assert machine is not None
            self._table(machine, table).set(f"b{index}", f"bulk {index}")

    def wait(self, number: int, nodes: int | None, seconds: float | None, stays: float | None) -> None:
        """WAIT by a client that is there to hear the answer, or (``stays``: seconds) goes away before. One
        that waits without end for nodes that may never be there goes away too."""
        machine = self._machine(number)
        if machine is None:
            return
        cancel = machine.store.waiters.wait(nodes, seconds, self._watch.waiting(machine))
        if stays is None and seconds is None:
            stays = PATIENCE_S
        if stays is not None:
            runtime = machine.cache.runtime
            runtime.call_later(stays, lambda: cancel() and None)

    # -- many at once ------------------------------------------------------------------------------------

    def hot(self, number: int, key: str, each_ms: int, milliseconds: int) -> None:
        """So many sets of one key in each millisecond."""
        self._bursts += 1
        self._heat(number, key, each_ms, milliseconds, f"h{self._bursts}-", 0)

    def _heat(self, number: int, key: str, each_ms: int, left: int, name: str, done: int) -> None:
        machine, place = self._machine(number), ("plain", key)
        if machine is None:
            return
        known = self._known(machine, place)
        values = tuple(f"{name}{done + index}" for index in range(each_ms))
        held = self._table(machine, "plain")
        for value in values:
            held.set(key, value)
        self._oracle.wrote_of_burst(machine, place, values, known, last=not left)
        if left:
            again = lambda: self._heat(number, key, each_ms, left - 1, name, done + each_ms)  # noqa: E731
            self._cluster.world.call_later(0.001, again)

    # -- through the Redis commands ----------------------------------------------------------------------

    def mset(self, number: int, pairs: tuple[tuple[str, str], ...]) -> None:
        """``MSET`` of keys that are judged."""
        machine = self._machine(number)
        if machine is None:
            return
        known = {key: self._known(machine, ("plain", key)) for key, _ in pairs}
        self._counts["MSET refused"] += any(len(key) > TOO_LONG - 1 for key, _ in pairs)
        (reply,) = run_commands(machine, [["MSET", *(text for pair in pairs for text in pair)]])
        for key, value in pairs if reply == b"+OK\r\n" else ():
            self._oracle.wrote(machine, ("plain", key), (value,), known[key])

    def multi(self, number: int, sets: tuple[tuple[str, str], ...], deletes: tuple[str, ...]) -> None:
        """``MULTI``, some sets and deletes, ``EXEC``."""
        machine = self._machine(number)
        if machine is None:
            return
        keys = [*(key for key, _ in sets), *deletes]
        known = {key: self._known(machine, ("plain", key)) for key in keys}
        there = {key: machine.peek("plain", key) is not None for key in keys}
        commands = [["SET", key, value] for key, value in sets] + [["DEL", key] for key in deletes]
        *_, reply = run_commands(machine, [["MULTI"], *commands, ["EXEC"]])
        assert reply.startswith(b"*%d" % len(commands)), reply
        for key, value in sets:
            self._oracle.wrote(machine, ("plain", key), (value,), known[key])
        for key in deletes:
            if there[key]:
                self._oracle.wrote(machine, ("plain", key), (None,), known[key])

    def getex(self, number: int, key: str, seconds: int) -> None:
        """``GETEX``, with a time or (0) for ever."""
        machine, place = self._machine(number), ("plain", key)
        if machine is None:
            return
        known, value = self._known(machine, place), machine.peek(*place)
        options = ["EX", str(seconds)] if seconds else ["PERSIST"]
        # A key that lives for ever already is not written.
        written = value is not None and (seconds > 0 or machine.store.tables["plain"].ttl(key) is not None)
        run_commands(machine, [["GETEX", key, *options]])
        if written:
            self._oracle.wrote(machine, place, (value,), known, float(seconds))

    def _buried(self, table: str, key: str, ttl: float | None) -> None:
        if ttl:
            self._oracle.graves.add(table, key, self._cluster.world.now + ttl)
            self._oracle.ended(table, key)
