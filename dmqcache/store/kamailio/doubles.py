"""Keys that a Kamailio holds twice.

Kamailio takes the cells of a batch without the lock of their slot: if two of its workers add the same key at
the same moment, it is there twice. Its script then sees the first one; its list, and what it sends to others,
has both; a delete takes away the first. Owns which keys those are, as the node shows them when it is asked
for its cells. That one of the two is deleted before the node is told the value, is ``rounds.py``'s business.
"""

from __future__ import annotations

from typing import Final

from dmqcache.bus.sip.uri import NodeURI
from dmqcache.store.kamailio.wire_types import Cell, CellBatch

#: Keys that are remembered of one node; the next comparison finds the others.
MAX_KEYS: Final = 10_000

Key = tuple[str, str]


class Doubles:
    """The keys that each node holds twice and is to be freed of."""

    def __init__(self) -> None:
        self._keys: dict[NodeURI, set[Key]] = {}

    def note(self, node: NodeURI, keys: list[Key]) -> None:
        """The node showed these tables' keys twice."""
        known = self._keys.setdefault(node, set())
        known.update(keys[: max(0, MAX_KEYS - len(known))])

    def take(self, node: NodeURI, table: str, key: str) -> bool:
        """Whether one of two is to be deleted there; true once."""
        known = self._keys.get(node)
        if known is None or (table, key) not in known:
            return False
        known.remove((table, key))
        return True

    def forget(self, node: NodeURI) -> None:
        """The node is gone, or begins anew."""
        self._keys.pop(node, None)


def single(batch: CellBatch) -> tuple[CellBatch, list[Key]]:
    """The batch with the first of each key, which is what the sender's script sees, and the tables' keys that
    it has more than once. A Kamailio goes through its slots once for each batch, so that a key which it holds
    once is never in one twice."""
    cells: dict[Key, Cell] = {}
    twice: dict[Key, None] = {}
    for cell in batch.cells:
        key = (cell.htname, cell.cname)
        if cells.setdefault(key, cell) is not cell:
            twice[key] = None
    if not twice:
        return batch, []
    return CellBatch(list(cells.values()), batch.bad), list(twice)
