"""A flush that came in a datagram which anybody may have sent: the node itself is asked first."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from dmqcache.bus.peer import Later, Reply
from dmqcache.store.native.floor_questions import ANSWER_TIMEOUT_S, MAX_WAITING
from dmqcache.store.native.native_message import MAX_PARTS, Answer, Summary
from dmqcache.store.table.digest import MIN_DEPTH
from tests.store.harness import Played, Sent, Side, World, shown
from tests.store.native.native_hosts import with_node

ROW = ["row", "z", 0, 0, 0, 0]


class Flusher:
    """A node that is asked for its floors; what it has flushed, the test says."""

    def __init__(self, *tables: str, **options: Any) -> None:
        self.world: World
        self.side: Side
        self.other: Played
        self.world, self.side, self.other = with_node(*tables, **options)
        self.floors: dict[str, int] = {}
        self.questions: list[dict[str, Any]] = []
        self.silent = False
        self.other.answer = self._answer
        self.side.table["a"] = "x"
        self.world.run(1)

    def now(self) -> int:
        return self.side.store.clock.version()

    def _answer(self, sent: Sent) -> Reply | None:
        ask = sent.json.get("ask")
        if ask is None:
            return Reply(200)
        self.questions.append(sent.json)
        if self.silent:
            return None
        sums = {name: Summary(0, self.floors.get(name, 0), MIN_DEPTH) for name in ask}
        return Reply(200, body=msgspec.json.encode(Answer(self.side.runtime.wall_ms(), sums=sums)))

    def hear(self, **fields: object) -> list[Reply]:
        """What a datagram in the node's name is answered, as soon as it is."""
        replies: list[Reply] = []
        reply = self.side.bus.peers["dmqcache"].handle(
            self.other.message(self.side, fields, "dmqcache", forgeable=True)
        )
        if isinstance(reply, Later):
            reply.then(replies.append)
        else:
            assert isinstance(reply, Reply)
            replies.append(reply)
        return replies

    def refused(self, name: str = "t") -> int:
        return self.side.store.counters.refused[name, "floor_not_confirmed"]


def test_a_flush_that_the_node_knows_nothing_of_empties_no_table() -> None:
    node = Flusher()
    replies = node.hear(floors={"t": node.now()}, rows={"t": [[*ROW[:2], node.now(), 0, 0, 0]]})
    node.world.run(1)
    assert [reply.status for reply in replies] == [403] and node.refused() == 1
    assert shown(node.side) == {"a": "x"} and not node.side.table.floor
    # The question told nothing that would be asked about in turn.
    assert [list(question) for question in node.questions] == [["ask"]]


def test_a_flush_that_the_node_confirms_counts_and_so_does_all_that_came_with_it() -> None:
    node = Flusher()
    node.floors["t"] = floor = node.now()
    node.world.run(0.01)
    replies = node.hear(floors={"t": floor}, rows={"t": [[*ROW[:2], node.now(), 0, 0, 0]]})
    assert shown(node.side) == {"a": "x"} and not replies
    node.world.run(1)
    assert [reply.status for reply in replies] == [200] and shown(node.side) == {"row": "z"}
    # It is no news any more.
    assert [reply.status for reply in node.hear(floors={"t": floor})] == [200]
    assert len(node.questions) == 1 and not node.refused()


def test_a_question_that_is_lost_has_the_message_sent_again() -> None:
    node = Flusher()
    node.silent = True
    node.floors["t"] = floor = node.now()
    replies = node.hear(floors={"t": floor})
    node.world.run(ANSWER_TIMEOUT_S + 1)
    assert [reply.status for reply in replies] == [503] and shown(node.side) == {"a": "x"}
    node.silent = False
    node.hear(floors={"t": floor})
    node.world.run(1)
    assert shown(node.side) == {} and not node.refused()


def test_a_flood_of_forged_flushes_costs_the_node_one_question_at_a_time() -> None:
    node = Flusher()
    node.silent = True
    heard = [node.hear(floors={"t": node.now()}) for _ in range(3 * MAX_WAITING)]
    node.world.run(ANSWER_TIMEOUT_S / 2)
    assert len(node.questions) == 1
    assert [len(replies) for replies in heard] == [0] * (MAX_WAITING + 1) + [1] * (2 * MAX_WAITING - 1)
    node.silent = False
    node.world.run(ANSWER_TIMEOUT_S)
    assert all(len(replies) == 1 and replies[0].status in (403, 503) for replies in heard)
    assert len(node.questions) == 2 and shown(node.side) == {"a": "x"}


def test_a_true_flush_among_forged_ones_is_believed() -> None:
    node = Flusher()
    node.floors["t"] = floor = node.now()
    node.world.run(0.01)
    heard = [node.hear(floors={"t": version}) for version in (node.now(), floor, node.now())]
    node.world.run(1)
    assert [[reply.status for reply in replies] for replies in heard] == [[403], [200], [403]]
    assert shown(node.side) == {} and node.side.table.floor == floor


def test_a_flush_of_the_future_and_one_of_a_table_that_is_not_here_need_no_question() -> None:
    node = Flusher()
    replies = node.hear(floors={"t": node.side.store.clock.limit() + 1_000_000, "elsewhere": node.now()})
    assert [reply.status for reply in replies] == [200] and not node.questions
    assert shown(node.side) == {"a": "x"}


@pytest.mark.parametrize("count", [2, MAX_PARTS + 1])
def test_many_tables_are_asked_about_at_once(count: int) -> None:
    tables = [f"t{number}" for number in range(count)]
    node = Flusher(*tables)
    for number in range(count):
        node.floors[f"t{number}"] = node.now()
    replies = node.hear(floors=node.floors)
    node.world.run(1)
    assert [reply.status for reply in replies] == [200] and len(node.questions) == 1
    assert all(table.floor for table in node.side.store.tables.values())


def test_a_node_that_stops_waits_for_no_answer() -> None:
    node = Flusher()
    node.silent = True
    replies = node.hear(floors={"t": node.now()})
    node.side.store.stop()
    node.world.run(2 * ANSWER_TIMEOUT_S)
    assert not replies and shown(node.side) == {"a": "x"}
