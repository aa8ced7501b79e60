"""One comparison with one dmqcache node: look at the sums of the tables, descend where they differ.

An initial sync is a repair of an empty table. A session asks one node for the sums of its tables and goes
down the digest trees where they differ; ``wants.py`` asks for the cells below the parts that it ends at. A
session whose donor dies is simply begun again with another: parts already equal are not asked for twice.
When a session is due, and with whom, ``repair.py`` says.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from dmqcache.bus.loop_steps import in_steps
from dmqcache.bus.peer import Response
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.store.native.absence import learn, looked_through, may_exchange
from dmqcache.store.native.native_message import Answer, Done, NativeMessage, Summary
from dmqcache.store.native.wants import TRANSFER_CELLS, Wants
from dmqcache.store.native.with_node import WithNode
from dmqcache.store.table.digest import FANOUT_BITS
from dmqcache.store.table.evicting import made_whole

#: Tree parts in one question: 16 sums of about 20 bytes come back for each.
ASK_PARTS: Final = 4
#: Questions for sums on their way at once.
ASK_WINDOW: Final = 2
#: Rounds of one session: the later ones look only at what was written meanwhile.
ROUNDS: Final = 3
#: Seconds without any sign of the donor after which a session is given up.
SILENCE_S: Final = 8.0
#: Seconds between two looks at the sums while changes are still on their way anyway.
PATIENCE_S: Final = 0.25
#: Looks after which a session goes on all the same.
PATIENCE: Final = 12

Place = tuple[str, int, int]


class Session:
    """One comparison with one node."""

    def __init__(
        self,
        with_node: WithNode,
        on_end: Callable[[Session, str], None],
        next_id: Callable[[], int],
        is_filling: Callable[[int], bool],
    ) -> None:
        """``on_end(session, outcome)``: it has ended, "equal", "repaired" or "failed"; or "early": the other
        node starts and takes what it lacks of its own accord, ``is_filling`` says by how many cells it holds.
        ``next_id``: numbers that no session had before."""
        self._with = with_node
        self._ground = with_node.ground
        self._on_end = on_end
        self._is_filling = is_filling
        #: Whether this node starts, and has not the whole state yet.
        self._initial = not self._ground.ready
        self._wants = Wants(with_node, next_id, self)
        outbox = with_node.outbox()
        #: What one of the two may have missed is looked for, whatever it costs; else only what both are
        #: expected to hold is compared.
        self.thorough = self._initial or outbox is None or outbox.needs_repair() or outbox.wanted_whole
        #: Parts whose sums differ and below which is to be looked.
        self._open: deque[Place] = deque()
        self._theirs: dict[str, Summary] = {}
        self._asking = 0
        self._round = 0
        self._looks = 0
        self._tombstones_wanted = False
        self._heard = self._ground.clock.now()
        #: Whether the donor has the whole state itself.
        self.donor_ready = True
        #: Tables that are not exchanged: the other node has to give its own up first.
        self._barred: set[str] = set()
        self.ended = False

    @property
    def node(self) -> NodeURI:
        """With whom."""
        return self._with.node

    def start(self) -> None:
        """Compare the tables' sums."""
        self._watch()
        self._look()

    def _watch(self) -> None:
        if self.ended:
            return
        if self._ground.clock.now() - self._heard > SILENCE_S:
            self.end("failed")
            return
        self._ground.runtime.call_later(1.0, self._watch)

    def heard(self) -> None:
        """The donor gave a sign of life that the session had asked for."""
        self._heard = self._ground.clock.now()

    def done(self, done: Done) -> None:
        """The donor has sent all of one want."""
        if not self.ended:
            self._wants.done(done)

    def end(self, outcome: str) -> None:
        """Stop; what was exchanged stays."""
        if self.ended:
            return
        self.ended = True
        self._wants.stop()
        if self._barred and outcome != "failed":
            outcome = "failed"
        if outcome != "failed" and self.donor_ready:
            for name, theirs in self._theirs.items():
                if self._ground.is_replicated(name):
                    learn(self._ground.tables[name], theirs)
        self._on_end(self, outcome)

    # -- what the wants tell -----------------------------------------------------------------------------

    def want_sent(self) -> None:
        """See :class:`~dmqcache.store.native.wants.WantsListener`."""
        self._advance()

    def want_served(self) -> None:
        """See :class:`~dmqcache.store.native.wants.WantsListener`."""
        self.heard()
        self._advance()

    def want_failed(self) -> None:
        """See :class:`~dmqcache.store.native.wants.WantsListener`."""
        self.end("failed")

    # -- asking for sums ---------------------------------------------------------------------------------

    def _ask(self, parts: dict[str, list[tuple[int, int]]], then: Callable[[Answer], None]) -> None:
        def answered(response: Response) -> None:
            self._asking -= 1
            if self.ended:
                return
            answer = self._with.answers.read(response)
            if answer is None:
                self.end("failed")
                return
            self.heard()
            then(answer)

        self._asking += 1
        self._with.send(NativeMessage(ask=parts), answered)

    def _look(self) -> None:
        if not self.ended:
            self._ask({table.name: [] for table in self._ground.replicated()}, self._heard_roots)

    def _heard_roots(self, answer: Answer) -> None:
        floors = {name: theirs.floor for name, theirs in (answer.sums or {}).items()}
        self._with.floors.when_ready(floors, lambda: self._compare_roots(answer))

    def _compare_roots(self, answer: Answer) -> None:
        if self.ended:
            return
        self.heard()
        self._theirs = answer.sums or {}
        self._wants.token = answer.token
        self.donor_ready = answer.ready
        if self._initial and not self._tombstones_wanted:
            self._tombstones_wanted = True
            self._wants.tombstones([name for name in self._theirs if self._ground.is_replicated(name)])
        different = [name for name in self._theirs if self._differs(name)]
        if different and self._is_early():
            self.end("early")
            return
        self._barred = set()
        # Until that is known nothing else is looked at.
        self._asking += 1
        in_steps(
            self._ground.runtime,
            self._bar(),
            lambda: self._exchange(answer, [name for name in different if name not in self._barred]),
            lambda: self.ended,
        )

    def _bar(self) -> Iterator[None]:
        """Find out which tables may not be exchanged. Of ours one may have to be given up first."""
        for name, theirs in self._theirs.items():
            if not self._ground.is_replicated(name):
                continue
            said = self._ground.tables[name], self._ground.ready, theirs, self.donor_ready
            for _ in looked_through(*said):
                self.heard()
                yield
            if not may_exchange(*said):
                self._barred.add(name)

    def _exchange(self, answer: Answer, different: list[str]) -> None:
        """Ask for what differs in these tables, and tell of it."""
        self._asking -= 1
        if not different:
            if not self._wants.under_way:
                self.end("repaired" if self._wants.served else "equal")
            return
        if self._is_waiting(answer):
            self._looks += 1
            self._ground.runtime.call_later(PATIENCE_S, self._look)
            return
        if self._round >= ROUNDS:
            self.end("repaired")
            return
        for name in different:
            self._with.floors.tell(self._ground.tables[name], self.node)
            if not self._is_left_out(name):
                self._sort_in(name, 0, 0)
        self._round += 1
        self._advance()

    def _is_early(self) -> bool:
        """Whether the other node is still getting what it lacks: we would ask and send it the same again."""
        if self._initial or self.donor_ready:
            return False
        return self._is_filling(sum(theirs.cells for theirs in self._theirs.values()))

    def _differs(self, name: str) -> bool:
        if not self._ground.is_replicated(name):
            return False
        table, theirs = self._ground.tables[name], self._theirs[name]
        self._with.floors.hear(name, theirs.floor)
        root_differs = theirs.root != table.digest.node(0, 0)
        if not root_differs and not theirs.partial:
            made_whole(table)
        return theirs.floor != table.floor or (root_differs and not self._is_left_out(name))

    def _is_left_out(self, name: str) -> bool:
        """Whether one of the two has evicted cells of the table: they are not brought back each few seconds.
        Where something may have been missed they are, once."""
        partial = self._ground.tables[name].partial or self._theirs[name].partial
        return partial and not (self.thorough and self._round == 0)

    def _is_waiting(self, answer: Answer) -> bool:
        """Whether what differs may be on its way already."""
        outbox = self._with.outbox()
        waiting = answer.waiting + (outbox.waiting() if outbox is not None else 0)
        return bool(waiting) and self._looks < PATIENCE and not self._initial

    def _sort_in(self, name: str, depth: int, index: int) -> None:
        """A part that differs: ask for it if it is small or empty here, else look below it."""
        table, theirs = self._ground.tables[name], self._theirs[name]
        few = theirs.cells >> FANOUT_BITS * depth <= TRANSFER_CELLS
        deepest = min(table.digest.depth, theirs.depth)
        mine = table.digest.node(depth, index)
        if depth >= deepest or (few and mine == 0):
            self._wants.add(name, depth, index, theirs.cells)
        else:
            self._open.append((name, depth, index))

    def _advance(self) -> None:
        """Ask for as much at once as the windows allow; look at the sums again when all is done."""
        if self.ended:
            return
        while self._open and self._asking < ASK_WINDOW:
            self._descend()
        self._wants.ask()
        if not (self._open or self._asking or self._wants.busy()):
            self._look()

    def _descend(self) -> None:
        parts: dict[str, list[tuple[int, int]]] = {}
        places: list[Place] = []
        while self._open and len(places) < ASK_PARTS:
            name, depth, index = self._open.popleft()
            parts.setdefault(name, []).append((depth, index))
            places.append((name, depth, index))

        def compare(answer: Answer) -> None:
            for name, asked in parts.items():
                summary = (answer.sums or {}).get(name)
                for (depth, index), sums in zip(asked, summary.sums if summary else (), strict=False):
                    self._compare_children(name, depth, index, sums)
            self._advance()

        self._ask(parts, compare)

    def _compare_children(self, name: str, depth: int, index: int, sums: list[int]) -> None:
        table = self._ground.tables[name]
        if depth >= table.digest.depth:
            return
        mine = table.digest.children(depth, index)
        for child, (ours, theirs) in enumerate(zip(mine, sums, strict=False)):
            if ours != theirs:
                self._sort_in(name, depth + 1, (index << FANOUT_BITS) + child)
