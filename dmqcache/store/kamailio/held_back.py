"""What a Kamailio node is not told, and why: what it cannot hold or receive, and what it leaves unanswered.

Owns how long a message to a node may be, which tables a node lacks, and which keys are kept from it. Each is
counted, named in the log once, and shown with the node. Who sends, and what, is ``kamailio_courier.py``'s.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from dmqcache.bus.sip.uri import NodeURI
from dmqcache.store.ground import Ground
from dmqcache.store.kamailio.dialect import Dialects
from dmqcache.store.kamailio.said import Said, what_is
from dmqcache.store.kamailio.wire_write import MAX_BODY_BYTES, carriable
from dmqcache.store.table.cell import Cell
from dmqcache.store.table.cells import Cells

log = logging.getLogger("dmqcache.store")

#: What stands before a body, at most: five lines with addresses of 255 characters each, and the rest.
HEAD_BYTES: Final = 1_500
#: Keys that are remembered as kept from one node; beyond it they are still counted.
MAX_KEPT_KEYS: Final = 10_000
#: Seconds until a key is told again whose message was left unanswered for the first time.
SOON_S: Final = 1.0
#: Seconds by which keys are tried again before their time, together with others.
TOGETHER_S: Final = 0.5
#: Seconds until something is told again that a node refused, or left unanswered more than once; doubles up to
#: the second.
AGAIN_S: Final = (60.0, 600.0)

Key = tuple[str, str]


@dataclass(slots=True)
class _Again:
    """Something that is told again later: a table, or a key."""

    at: float
    pause: float
    #: Of a key: what was said of it. Of a table: how the node refused it.
    said: Said = None
    status: int = 0
    #: It was told again, and the answer is not here yet.
    tried: bool = False


@dataclass(slots=True)
class _Node:
    """What is known of one node."""

    #: Keys that it is not told, and why.
    kept: dict[Key, str] = field(default_factory=dict)
    #: Keys whose message it did not answer; whether a timer for them runs.
    unanswered: dict[Key, _Again] = field(default_factory=dict)
    timed: bool = False
    #: Tables of which it took a change; tables that it seems to lack.
    tables: set[str] = field(default_factory=set)
    lacks: dict[str, _Again] = field(default_factory=dict)
    #: Of what a warning was given: table and reason.
    told: set[tuple[str, str]] = field(default_factory=set)


class HeldBack:
    """For each Kamailio node, what it is not told."""

    def __init__(
        self,
        ground: Ground,
        dialects: Dialects,
        message_bytes: Mapping[NodeURI, int],
        tell_again: Callable[[NodeURI, str, list[str]], None],
        has_table_again: Callable[[NodeURI], None],
    ) -> None:
        """``message_bytes``: what an operator says that a node receives. ``tell_again(node, table, keys)``:
        they may be tried again. ``has_table_again(node)``: what it missed of a table is to be found."""
        self._ground = ground
        self._dialects = dialects
        self._message_bytes = message_bytes
        self._tell_again = tell_again
        self._has_table_again = has_table_again
        self._nodes: dict[NodeURI, _Node] = {}

    def _of(self, node: NodeURI) -> _Node:
        return self._nodes.setdefault(node, _Node())

    def forget(self, node: NodeURI) -> None:
        """It came (back), and may be another one now; or it is gone for good."""
        self._nodes.pop(node, None)

    def reasons(self, node: NodeURI) -> dict[str, int]:
        """How many keys are kept from a node at the moment, by reason."""
        known = self._nodes.get(node)
        return dict(Counter(known.kept.values())) if known is not None else {}

    def missing_tables(self, node: NodeURI) -> list[str]:
        """The tables that a node seems to lack."""
        known = self._nodes.get(node)
        return list(known.lacks) if known is not None else []

    # -- keys --------------------------------------------------------------------------------------------

    def body_bytes(self, node: NodeURI) -> int:
        """How long a body the node receives."""
        told = self._message_bytes.get(node)
        most = self._dialects.message_bytes(node) if told is None else told
        return max(1, min(MAX_BODY_BYTES, most - HEAD_BYTES))

    def reason(self, node: NodeURI, cell: Cell) -> str | None:
        """Why the node cannot be told a cell that has a value; None if it can."""
        assert cell.value is not None
        return carriable(cell.key, cell.value, self.body_bytes(node))

    def keep(self, node: NodeURI, table: Cells, key: str, reason: str) -> None:
        """The node is not told a key."""
        self._ground.counters.withheld[table.name, reason] += 1
        known = self._of(node)
        if len(known.kept) < MAX_KEPT_KEYS:
            known.kept[table.name, key] = reason
        if (table.name, reason) not in known.told:
            known.told.add((table.name, reason))
            log.warning(
                "table %s: key %r is kept from %s: %s%s",
                table.name,
                key[:80],
                node,
                reason,
                self._hint(node, reason),
            )

    def _hint(self, node: NodeURI, reason: str) -> str:
        if reason != "too_large":
            return ""
        return f" (messages of more than {self.body_bytes(node) + HEAD_BYTES} bytes: msg_recv_max_size there)"

    def told(self, node: NodeURI, table: str, key: str) -> None:
        """The node has taken what was said of a key."""
        known = self._nodes.get(node)
        if known is not None:
            known.kept.pop((table, key), None)
            known.unanswered.pop((table, key), None)

    def left_unanswered(self, node: NodeURI, table: Cells, key: str, said: Said) -> None:
        """The node answers others, and not this key's message, whatever is in it: it is set aside."""
        known = self._of(node)
        before = known.unanswered.get((table.name, key))
        pause = SOON_S if before is None else min(AGAIN_S[1], max(AGAIN_S[0], 2 * before.pause))
        again = _Again(self._ground.clock.now() + pause, pause, said)
        known.unanswered[table.name, key] = again
        if before is not None:
            self.keep(node, table, key, "unanswered")
        if not known.timed:
            known.timed = True
            self._ground.runtime.call_later(pause, lambda: self._over(node, known))

    def _over(self, node: NodeURI, known: _Node) -> None:
        """Some of the keys that were set aside are tried again: all that are due, at once."""
        if self._nodes.get(node) is not known:
            return
        now = self._ground.clock.now()
        due: dict[str, list[str]] = {}
        for (table, key), again in known.unanswered.items():
            if again.at <= now + TOGETHER_S and not again.tried:
                again.at, again.tried = now, True
                due.setdefault(table, []).append(key)
        for table, keys in due.items():
            self._tell_again(node, table, keys)
        later = [again.at for again in known.unanswered.values() if not again.tried]
        known.timed = bool(later)
        if later:
            self._ground.runtime.call_later(
                max(TOGETHER_S, min(later) - now), lambda: self._over(node, known)
            )

    def was_unanswered(self, node: NodeURI, table: str, key: str) -> bool:
        """Whether a message with this key was left unanswered, and none has been answered since."""
        known = self._nodes.get(node)
        return known is not None and (table, key) in known.unanswered

    def is_set_aside(self, node: NodeURI, table: str, cell: Cell | None, key: str) -> bool:
        """Whether the node did not answer what would be said, and is not to be tried again yet."""
        known = self._nodes.get(node)
        again = known.unanswered.get((table, key)) if known is not None else None
        return (
            again is not None and again.said == what_is(cell) and self._ground.clock.now() < again.at - 0.001
        )

    # -- tables ------------------------------------------------------------------------------------------

    def has_table(self, node: NodeURI, table: str) -> bool:
        """Whether the node surely has a table."""
        known = self._nodes.get(node)
        return known is not None and table in known.tables

    def lacks_table(self, node: NodeURI, table: str) -> bool:
        """Whether the node refused what was said of a table, and is not to be asked again yet."""
        known = self._nodes.get(node)
        again = known.lacks.get(table) if known is not None else None
        return again is not None and self._ground.clock.now() < again.at

    def skip(self, node: NodeURI, table: str, keys: int) -> bool:
        """Whether so many changes are not told, and then counted, as the node lacks their table."""
        if not self.lacks_table(node, table):
            return False
        status = self._nodes[node].lacks[table].status
        reason = f"answered_{status}"
        self._ground.counters.withheld[table, reason] += keys
        return True

    def took(self, node: NodeURI, table: str) -> None:
        """The node took a change of a table, or spoke of it itself."""
        known = self._of(node)
        if table in known.tables:
            return
        known.tables.add(table)
        if known.lacks.pop(table, None) is not None:
            log.info("%s has table %s now", node, table)
            self._has_table_again(node)

    def refused(self, node: NodeURI, table: str, status: int, keys: int) -> None:
        """The node answered 404 or 500: it has no htable on the bus, or not this table, or no memory left."""
        known = self._of(node)
        known.tables.discard(table)
        before = known.lacks.get(table)
        pause = AGAIN_S[0] if before is None else min(AGAIN_S[1], 2 * before.pause)
        known.lacks[table] = _Again(self._ground.clock.now() + pause, pause, status=status)
        reason = f"answered_{status}"
        self._ground.counters.withheld[table, reason] += keys
        if (table, reason) not in known.told:
            known.told.add((table, reason))
            log.warning(
                "%s answers %d to changes of table %s and is told no more of it for now: "
                'is modparam("htable", "htable", "%s=>...") there, with enable_dmq 1?',
                node,
                status,
                table,
                table,
            )
