"""The ``dmqcache`` channel: how dmqcache nodes tell each other of changes, ordered by versions alone.

This peer reads and answers messages. The rows of a large one are merged in steps (``large_messages.py``): the
versions decide, so it does not matter what comes in between. What goes out is ``native_courier.py``'s; what
two nodes hold differently is found by ``repair_session.py`` and given by ``donor.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar, Final, Protocol

from dmqcache.bus.node import OWN_TAG, Node, other_wire
from dmqcache.bus.peer import Later, Message, Peer, Reply
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.store.ground import CONTENT_TYPE, Ground
from dmqcache.store.native.donor import Donor
from dmqcache.store.native.floor_questions import FloorQuestions
from dmqcache.store.native.floors import Floors
from dmqcache.store.native.large_messages import LargeMessages
from dmqcache.store.native.native_message import Answer, NativeMessage, Summary, decode, encode
from dmqcache.store.native.repair import Repair
from dmqcache.store.outbox.outboxes import Outboxes
from dmqcache.store.table.cells import Cells
from dmqcache.store.table.merge import Arrivals
from dmqcache.store.table.row import Row, RowError
from dmqcache.store.table.table import Table

CHANNEL: Final = "dmqcache"
#: Rows of a message that are merged at once: some 2 ms. Of more, those of one piece.
AT_ONCE: Final = 500
PIECE: Final = 100


class HearsayRule(Protocol):
    """What to do with that which only Kamailio nodes know."""

    def show(self, table: Table, rows: list[Row], node: NodeURI) -> None:
        """``node`` tells rows of a repair, which may overwrite some of it."""

    def take(self, table: Table, row: Row) -> None:
        """A dmqcache node told a row that is older than what we hold."""


class BehindRule(Protocol):
    """What Kamailio nodes were told by this node that others knew better."""

    def replaced(self, table: Table, rows: list[Row]) -> list[str]:
        """Which keys these rows, which are not merged yet, make something else than was told."""


class NodeListener(Protocol):
    """Who is told of nodes of every kind, as the bus tells this peer."""

    def node_up(self, node: Node) -> None:
        """A node answers: new, or back, or started anew."""

    def node_down(self, node: Node) -> None:
        """A node stopped answering."""

    def node_left(self, node: Node) -> None:
        """A node said goodbye."""


class Replica(Peer):
    """The peer of dmqcache nodes. By its tag the others know that this node holds tables."""

    option_tags: ClassVar[tuple[str, ...]] = (OWN_TAG,)

    def __init__(
        self,
        ground: Ground,
        outboxes: Outboxes,
        arrivals: Mapping[str, Arrivals],
        floors: Floors,
        floor_questions: FloorQuestions,
        donor: Donor,
        repair: Repair,
        *,
        nodes: NodeListener,
        hearsay: HearsayRule,
        behind: BehindRule,
        merged: Callable[[], None],
    ) -> None:
        """``arrivals``: the way into each table. ``merged``: told after rows were merged."""
        super().__init__(CHANNEL)
        self.key_holders_only = True
        self._ground = ground
        self._outboxes = outboxes
        self._arrivals = arrivals
        self._floors = floors
        self._floor_questions = floor_questions
        self._donor = donor
        self._repair = repair
        self._nodes = nodes
        self._hearsay = hearsay
        self._behind = behind
        self._merged = merged
        self._large = LargeMessages(ground)

    def on_node_up(self, node: Node) -> None:
        self._nodes.node_up(node)

    def on_node_down(self, node: Node) -> None:
        self._nodes.node_down(node)

    def on_node_left(self, node: Node) -> None:
        self._nodes.node_left(node)

    def handle(self, message: Message) -> Reply | Later:
        """Merge, answer, or pass on to the repair what a dmqcache node says. Strangers get a 403."""
        refused = self._ground.counters.refused
        if other_wire(message.supported):
            refused["", "other_wire"] += 1
            return Reply(403, "Upgrade dmqcache")
        if message.node is None:
            refused["", "unknown_node"] += 1
            return Reply(403, "Unknown Node")
        try:
            came = decode(message.body)
        except RowError as error:
            refused["", error.reason] += 1
            return Reply(400)
        if came.want is not None and message.forgeable and not self._donor.told(message.node.uri, came.want):
            refused["", "want_without_token"] += 1
            return Reply(403)
        if not came.floors:
            return self._take(message.node.uri, came)
        return self._take_after_floors(message.node.uri, came, message.forgeable)

    def _take_after_floors(self, node: NodeURI, came: NativeMessage, forgeable: bool) -> Reply | Later:
        """The same, when what it says of flushes is surely true, and can be heard without holding anybody
        up."""
        later, replies = Later(), list[Reply]()

        def give(reply: Reply | Later) -> None:
            if isinstance(reply, Later):
                reply.then(give)
            else:
                replies.append(reply)
                later.give(reply)

        def go_on(refusal: Reply | None) -> None:
            if refusal is not None:
                give(refusal)
            else:
                self._floors.when_ready(came.floors, lambda: give(self._take(node, came)))

        if forgeable:
            self._floor_questions.confirm(node, came.floors, go_on)
        else:
            go_on(None)
        return replies[0] if replies else later

    def _take(self, node: NodeURI, came: NativeMessage) -> Reply | Later:
        if came.repair or came.done is not None:
            self._repair.heard(node)
        answer = Answer(self._ground.clock.raw_ms())
        for name, floor in came.floors.items():
            answer.ahead |= not self._floors.hear(name, floor)
        if came.rows:
            if sum(map(len, came.rows.values())) > AT_ONCE:
                return self._take_in_steps(node, came, answer)
            answer.ahead |= self._merge(node, came.rows, came.repair)
        return self._reply(node, came, answer)

    def _take_in_steps(self, node: NodeURI, came: NativeMessage, answer: Answer) -> Reply | Later:
        """Merge the rows some at a time; the reply comes when all are."""
        later, replies = Later(), list[Reply]()

        def end() -> None:
            replies.append(self._reply(node, came, answer))
            later.give(replies[0])

        if not self._large.add(node, self._merging(node, came, answer), end):
            return Reply(503)
        return replies[0] if replies else later

    def _merging(self, node: NodeURI, came: NativeMessage, answer: Answer) -> Iterator[None]:
        for name, rows in came.rows.items():
            for start in range(0, len(rows), PIECE):
                answer.ahead |= self._merge(node, {name: rows[start : start + PIECE]}, came.repair)
                yield

    def _reply(self, node: NodeURI, came: NativeMessage, answer: Answer) -> Reply:
        """What is said when all rows are merged."""
        if came.want is not None and not self._donor.wanted(node, came.want):
            return Reply(503)
        if came.done is not None:
            self._repair.done(node, came.done)
        if came.ask is not None:
            self._sum_up(answer, node, came.ask)
        elif not answer.ahead:
            # The bus keeps each answer with a body for half a minute, and measures no round trip by its copy.
            return Reply(200)
        return Reply(200, body=encode(answer), content_type=CONTENT_TYPE)

    def _merge(self, node: NodeURI, told: dict[str, list[Row]], repair: bool) -> bool:
        """Returns whether a row was refused because its version lies too far ahead."""
        counters = self._ground.counters
        ahead = False
        for name, rows in told.items():
            if not self._ground.is_replicated(name):
                reason = "not_replicated" if name in self._ground.tables else "unknown_table"
                counters.refused["", reason] += len(rows)
                continue
            arrivals = self._arrivals[name]
            if repair:
                self._hearsay.show(arrivals.table, rows, node)
            replaced = self._behind.replaced(arrivals.table, rows)
            newer = arrivals.merge_rows(rows, str(node))
            arrivals.told_before(replaced)
            ahead |= arrivals.ahead
            if repair:
                counters.repair_cells["in"] += len(rows)
                if newer:
                    self._find_news(name, rows, newer)
                    self._tell_back(name, newer, node)
            elif newer:
                self._tell_back(name, _begun_anew(arrivals.table, rows, set(newer)), node)
        self._merged()
        return ahead

    def _find_news(self, name: str, rows: list[Row], newer: list[str]) -> None:
        """Look at the rows that are older than what we hold."""
        table, keys = self._ground.tables[name], set(newer)
        for row in rows:
            if row.key in keys:
                self._hearsay.take(table, row)

    def _tell_back(self, name: str, keys: list[str], node: NodeURI) -> None:
        """``node`` sent something older than what we hold."""
        outbox = self._outboxes.get(node)
        if outbox is not None:
            self._outboxes.name_keys(self._ground.tables[name], keys, [outbox])

    def _sum_up(self, answer: Answer, node: NodeURI, ask: dict[str, list[tuple[int, int]]]) -> None:
        """Answer with the sums asked for."""
        ground, outbox = self._ground, self._outboxes.get(node)
        answer.sums = {
            name: summary_of(ground.tables[name], parts)
            for name, parts in ask.items()
            if ground.is_replicated(name)
        }
        answer.waiting = outbox.waiting() if outbox is not None else 0
        answer.ready = ground.ready
        answer.token = self._donor.token(node)


def _begun_anew(table: Cells, rows: list[Row], newer: set[str]) -> list[str]:
    """The keys in which a node has begun to count though we hold a value: it lacks that value, and if it has
    evicted cells no comparison would tell it so."""
    counted = [row.key for row in rows if row.shares and row.key in newer and row.key in table.cells]
    held = [table.cells[key] for key in counted]
    return [cell.key for cell in held if cell.value is not None and cell.counts is None]


def summary_of(table: Cells, parts: list[tuple[int, int]]) -> Summary:
    """A table's sums: of the whole, and of the 16 parts below each part asked for."""
    digest = table.digest
    sums = [digest.children(depth, index) if depth < digest.depth else [] for depth, index in parts]
    root = digest.node(0, 0) if not parts else 0
    return Summary(
        table.live, table.floor, digest.depth, sums, root, table.forgot, table.known, table.partial
    )
