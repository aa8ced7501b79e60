"""What Kamailio nodes say when it is more than one step can take in: in steps, in the order in which it came.

A batch may have a thousand cells and more, of which each costs several microseconds; and a Kamailio that is
asked sends all that it has in one burst. While a node's batch is being taken in, what the same node says
waits behind it. Owns that order, the pace, and how much may wait; what is done with a message, ``htable.py``
says.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Final, cast

from dmqcache.bus.loop_steps import in_steps
from dmqcache.bus.peer import SILENCE, Later, Reply
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.store.ground import Ground

log = logging.getLogger("dmqcache.store")

#: Cells of a message that are taken in at once, if nothing waits: a millisecond or two.
AT_ONCE: Final = 250
#: Cells of a message that is longer than those of Kamailio: to read it was a step.
LONG: Final = 1_000
#: Cells that wait at most, of all nodes together: some 20 MB, and half of what a socket's buffer holds.
MOST_CELLS: Final = 60_000

#: The work on a message: does a piece of it whenever it is asked for the next item, and returns the answer.
Work = Generator[None, None, Reply | Later]


@dataclass(slots=True)
class _Waiting:
    node: NodeURI
    cells: int
    work: Work
    later: Later


class InTurn:
    """The messages that wait on one node."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        #: With a step of each in every turn, those of many nodes would fill it.
        self._waiting: deque[_Waiting] = deque()
        self._by_node: Counter[NodeURI] = Counter()
        self._cells = 0
        self._at_work = False
        self._pieces: Iterator[None] = iter(())

    def busy(self, node: NodeURI) -> bool:
        """Whether something that the node said is still to be taken in."""
        return node in self._by_node

    def take(self, node: NodeURI, cells: int, work: Work, comes_again: bool) -> Reply | Later:
        """Do the work on a message with so many cells when its turn comes: the first step at once, if nothing
        waits and it did not take much to read it. Where too much waits, one that ``comes_again`` if it is
        lost on its way (UDP) is lost; for any other there is room as soon as those before it are done, at
        once."""
        if self._is_full(cells):
            if comes_again:
                self._ground.counters.refused["", "too_many_waiting"] += 1
                return Reply(SILENCE)
            self._make_room(cells)
        later = Later()
        self._waiting.append(_Waiting(node, cells, work, later))
        self._by_node[node] += 1
        self._cells += cells
        if not self._at_work:
            self._at_work = True
            self._pieces = self._all_in_turn()
            if cells > LONG:
                self._ground.runtime.call_later(0.0, self._begin)
            else:
                self._begin()
        return later

    def _begin(self) -> None:
        in_steps(self._ground.runtime, self._pieces, lambda: None, lambda: self._ground.stopped)

    def _is_full(self, more: int) -> bool:
        return bool(self._waiting) and self._cells + more > MOST_CELLS

    def _make_room(self, cells: int) -> None:
        for _ in self._pieces:
            if not self._is_full(cells):
                return

    def _all_in_turn(self) -> Iterator[None]:
        try:
            while self._waiting:
                first = self._waiting[0]
                reply = yield from _done(first.work)
                self._waiting.popleft()
                self._cells -= first.cells
                self._by_node[first.node] -= 1
                if not self._by_node[first.node]:
                    del self._by_node[first.node]
                if isinstance(reply, Later):
                    reply.then(first.later.give)
                else:
                    first.later.give(reply)
        finally:
            self._at_work = False


def at_once(work: Work) -> Reply | Later:
    """All of it now."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return cast(Reply | Later, end.value)


def _done(work: Work) -> Work:
    """The work, whatever becomes of it: those behind it have nothing to do with that."""
    try:
        return (yield from work)
    except Exception:
        log.exception("a message of a Kamailio could not be taken in")
        return Reply(500)
