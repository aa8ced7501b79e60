"""What must hold once all is healed and quiet: agreement of all nodes, books in order, nothing left over.

Each check returns lines that say what is wrong; none: all is well.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from dmqcache.store.kamailio.wire_write import carriable
from dmqcache.store.table.cell import EXPIRED, NEVER, cell_digest
from dmqcache.store.table.digest import UPPER_SHIFT
from dmqcache.store.table.table import Table
from dmqcache.store.table.text_size import size_of
from tests.simulation.cluster import Cluster, Machine

#: Seconds by which the time left of one key may differ between two nodes: it is told as what was left when
#: the row was packed, and a row may be sent again for a while. Kamailio keeps whole seconds.
TIME_SLACK_S = 8.0
#: The same over TCP, which sends what was lost again after pauses that double, and holds back what follows.
STREAM_SLACK_S = 16.0
#: The same where links are cut: what waits in a stalled connection comes when the link is mended, up to 20 s
#: later (``streams.STALLED_S``, as ``TCP_USER_TIMEOUT`` of ours), and what was lost then 2 s later still.
CUT_STREAM_SLACK_S = 24.0
#: The same where a process may stand still while rows wait in its socket, or a Kamailio repeats a set for
#: half a minute: each node counts from its arrival.
LATE_SLACK_S = 40.0
#: Characters of a value that are shown.
SHOWN = 60

#: key -> (value, seconds left or None)
Contents = dict[str, tuple[str | int, float | None]]


def contents(table: Table) -> Contents:
    """What lives in a table."""
    now = table.clock.now()
    held: Contents = {}
    for cell in table.cells.values():
        if cell.value is not None and cell.expires > now:
            held[cell.key] = (cell.value, None if cell.expires == NEVER else cell.expires - now)
    return held


def kamailio_contents(machine: Machine, name: str, shown: bool) -> Contents:
    """What lives in a Kamailio's table; ``shown``: only what it tells a node that asks for all (where cells
    have times, one without is kept back)."""
    htable = machine.kamailio.htable
    now = htable.seconds()
    timed = htable.tables[name].settings.autoexpire > 0
    return {
        key: (slot.value, slot.expire - now if timed and slot.expire else None)
        for key, slot in htable.tables[name].items(now).items()
        if not (shown and timed and not slot.expire)
    }


def disagreement(
    cluster: Cluster, forgotten: bool, slack: float, removed: Collection[tuple[str, str]] = ()
) -> list[str]:
    """Where two nodes hold different things. ``forgotten``: at some time only Kamailio nodes remembered
    anything, or heard of a write. ``slack``: seconds by which times may differ. ``removed``: tables and keys
    that Kamailio nodes may lack, as they were removed there and a dmqcache node could not hear of it."""
    found: list[str] = []
    caches = cluster.caches()
    for settings in cluster.tables:
        name = settings.name
        first = caches[0]
        held = contents(first.store.tables[name])
        for machine in caches[1:]:
            theirs = contents(machine.store.tables[name])
            found += _differences(name, first.host, held, machine.host, theirs, slack)
        for machine in cluster.kamailios():
            wanted = _as_carried(held, settings.autoexpire)
            theirs = kamailio_contents(machine, name, shown=False)
            if forgotten:
                kept_back = theirs.keys() - kamailio_contents(machine, name, shown=True).keys()
                for key in kept_back - wanted.keys():
                    del theirs[key]
            if not settings.autoexpire:
                for key in _just_over(first.store.tables[name], slack) - wanted.keys():
                    theirs.pop(key, None)
            for table, key in removed:
                if table == name and key not in theirs:
                    wanted.pop(key, None)
            found += _differences(name, first.host, wanted, machine.host, theirs, slack)
    return found


def _just_over(table: Table, slack: float) -> set[str]:
    """Keys whose time is over for less than ``slack`` seconds: who keeps no times may not know yet."""
    now = table.clock.now()
    over = {cell.key for cell in table.cells.values() if cell.value is not None and cell.expires <= now}
    for key in table.tombstones:
        died, cell = table.tombstones.died_at(key), table.cells.get(key)
        if died is not None and died > now - slack and cell is not None and cell.flags & EXPIRED:
            over.add(key)
    return over


def _as_carried(held: Contents, autoexpire: int) -> Contents:
    """What a Kamailio can hold of it, and with which time."""
    return {
        key: (value, left if autoexpire else None)
        for key, (value, left) in held.items()
        if carriable(key, value) is None
    }


def _differences(
    table: str, one: str, held: Contents, other: str, theirs: Contents, slack: float
) -> list[str]:
    found: list[str] = []
    for key in held.keys() | theirs.keys():
        mine, its = held.get(key), theirs.get(key)
        if _dies_soon(mine, slack) and _dies_soon(its, slack):
            continue
        if mine is None or its is None or mine[0] != its[0] or type(mine[0]) is not type(its[0]):
            found.append(f"{table}/{key}: {one} has {_shown(mine)}, {other} has {_shown(its)}")
        elif not _times_agree(mine[1], its[1], slack):
            found.append(f"{table}/{key}: {one} has {mine[1]} s left, {other} has {its[1]} s")
    return sorted(found)


def _shown(what: object) -> str:
    text = str(what)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _dies_soon(what: tuple[str | int, float | None] | None, slack: float) -> bool:
    """Whether nothing is there, or soon will be."""
    return what is None or (what[1] is not None and what[1] <= slack)


def _times_agree(one: float | None, other: float | None, slack: float) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) <= slack


def membership(cluster: Cluster) -> list[str]:
    """Who does not know whom."""
    up = {machine.uri for machine in cluster.machines if machine.up}
    found: list[str] = []
    for machine in cluster.caches():
        active = {node.uri for node in machine.cache.bus.active_nodes()}
        if active != up - {machine.uri}:
            lacks = sorted(uri.host for uri in up - active - {machine.uri})
            ghosts = sorted(uri.host for uri in active - up)
            found.append(f"{machine.host} misses {lacks} and believes in {ghosts}")
        if not machine.store.ready:
            found.append(f"{machine.host} is not ready")
    return found


# -- one node -------------------------------------------------------------------------------------------


def leftovers(machine: Machine) -> Iterator[str]:
    """What a quiet node still holds and should not."""
    store, bus = machine.store, machine.cache.bus
    for outbox in store.outboxes.values():
        where = f"{machine.host}: outbox of {outbox.node.host}"
        if outbox.open and outbox.waiting():
            yield f"{where} has {outbox.waiting()} waiting"
        if outbox.open and outbox.overflowed:
            yield f"{where} still needs a repair"
        if outbox.open and (outbox.flying or outbox.transfers or any(outbox._busy.values())):
            yield f"{where} has batches under way"
        if len(outbox.changed) > len(store.tables):
            yield f"{where} has {len(outbox.changed)} tables"
    yield from (f"{machine.host}: {line}" for line in machine.cache.repeats[:3])
    if store.waiters._waiting:
        yield f"{machine.host}: {len(store.waiters._waiting)} waiters"
    if store.collisions._waiting:
        yield f"{machine.host}: {len(store.collisions._waiting)} collisions wait"
    living = {other.host for other in machine.cluster.machines if other.up}
    waiting = [uri for uri in store.sync_requests._unproven if uri.host in living]
    if waiting:
        yield f"{machine.host}: {len(waiting)} Kamailios wait for cells"
    if bus.counters.handler_errors.total():
        yield f"{machine.host}: handlers failed: {dict(bus.counters.handler_errors)}"
    for reason in ("internal_error", "queue_full", "replay_evicted", "too_many_strangers"):
        if bus.counters.drops[reason]:
            yield f"{machine.host}: {bus.counters.drops[reason]} drops: {reason}"
    now = machine.cache.runtime.now()
    for transaction in list(bus._transactions._by_branch.values()):
        age = now - transaction._sent_at[0]
        if age > 2.0:
            yield f"{machine.host}: a request to {transaction.endpoint.host} waits for {age:.1f} s"


def books(machine: Machine) -> Iterator[str]:
    """Where a table's indexes do not agree with its cells."""
    for name, table in machine.store.tables.items():
        where = f"{machine.host}/{name}"
        living = [cell for cell in table.cells.values() if cell.value is not None]
        if table.live != len(living):
            yield f"{where}: live is {table.live}, not {len(living)}"
        if set(table.tombstones) != table.cells.keys() - {cell.key for cell in living}:
            yield f"{where}: tombstones do not agree with the dead cells"
        leaves, upper = [0] * len(table.digest.leaves), [0] * len(table.digest.upper)
        for cell in living:
            leaves[cell.hash >> table.digest.shift] += cell_digest(cell)
            upper[cell.hash >> UPPER_SHIFT] += cell_digest(cell)
        if (leaves, upper) != (table.digest.leaves, table.digest.upper):
            yield f"{where}: the digest is wrong"
        if list(table.order.after(None)) != sorted(cell.key for cell in living):
            yield f"{where}: the order of keys is wrong"
        size = sum(size_of(cell.key) + size_of(cell.value) for cell in living)
        if table.text_bytes != size:
            yield f"{where}: bytes is {table.text_bytes}, not {size}"
        due = {key for bucket in table.expiry._buckets.values() for key in bucket}
        if due != {cell.key for cell in living if cell.expires != NEVER}:
            yield f"{where}: the index of times is wrong"
        if any(cell.stamp <= table.floor for cell in table.cells.values()):
            yield f"{where}: a cell from before the flush is there"


def digests(cluster: Cluster, slack: float) -> list[str]:
    """Tables that are equal and whose digests are not: they would be repaired for ever. Not looked at while a
    cell is about to die, as nodes do not notice that at the same moment."""
    found: list[str] = []
    for settings in cluster.tables:
        tables = {machine.host: machine.store.tables[settings.name] for machine in cluster.caches()}
        dying = any(
            cell.value is not None and cell.expires < table.clock.now() + slack
            for table in tables.values()
            for cell in table.cells.values()
        )
        sums = {host: table.digest.node(0, 0) for host, table in tables.items()}
        if len(set(sums.values())) > 1 and not dying:
            found.append(f"{settings.name}: digests differ: {sums}")
    return found
