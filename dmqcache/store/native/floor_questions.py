"""Flushes that somebody may have forged: the node in whose name one came is asked before anything is gone.

One datagram with a flush empties a whole table everywhere, and its source address is easily forged. The
answer to a question is not: so a flush that came in an unsigned datagram, and that is news, counts when the
node itself says that it has happened. Owns the messages that wait for such an answer; what a flush does is
``floors.py``'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from dmqcache.bus.peer import Reply, Response
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.store.ground import Channel, Ground
from dmqcache.store.native.answer_reader import AnswerReader
from dmqcache.store.native.native_message import MAX_PARTS, NativeMessage, encode
from dmqcache.store.table.digest import MAX_DEPTH

#: Messages of one node that wait at once: it sends a handful before it waits for us.
MAX_WAITING: Final = 64
#: Seconds until a question that nobody answers counts as lost.
ANSWER_TIMEOUT_S: Final = 5.0
#: A part of a table that has no sums: its floor is all that is asked.
NO_SUMS: Final = (MAX_DEPTH, 0)

#: What a message gets that must not count; None: it counts.
Verdict = Callable[[Reply | None], None]
_Waiting = tuple[dict[str, int], Verdict]


class FloorQuestions:
    """At most one question at a time to each node."""

    def __init__(self, ground: Ground, channel: Channel, answers: AnswerReader) -> None:
        self._ground = ground
        self._channel = channel
        self._answers = answers
        #: What waits for the next question to a node.
        self._waiting: dict[NodeURI, list[_Waiting]] = {}
        self._asked: set[NodeURI] = set()

    def confirm(self, node: NodeURI, floors: Mapping[str, int], verdict: Verdict) -> None:
        """Whether ``node`` itself says that these flushes have happened: ``verdict`` hears it at once where
        none of them is news."""
        news = self._news(floors)
        if not news:
            verdict(None)
            return
        waiting = self._waiting.setdefault(node, [])
        if len(waiting) >= MAX_WAITING:
            verdict(Reply(503))
            return
        waiting.append((news, verdict))
        if node not in self._asked:
            self._ask(node)

    def _news(self, floors: Mapping[str, int]) -> dict[str, int]:
        """Those that would change something; what lies too far ahead is refused without a question."""
        ground = self._ground
        return {
            name: floor
            for name, floor in floors.items()
            if ground.is_replicated(name) and ground.tables[name].floor < floor <= ground.clock.limit()
        }

    def _ask(self, node: NodeURI) -> None:
        due = self._waiting.pop(node)
        self._asked.add(node)
        names = {name: None for news, _ in due for name in news}
        parts = [NO_SUMS] if len(names) <= MAX_PARTS else []
        # Without floors of our own: they would be asked about in turn.
        message = NativeMessage(ask=dict.fromkeys(names, parts))
        answered = partial(self._answered, node, due)
        self._channel.send(node, encode(message), answered, timeout=ANSWER_TIMEOUT_S, fast=True)

    def _answered(self, node: NodeURI, due: list[_Waiting], response: Response) -> None:
        self._asked.discard(node)
        if self._ground.stopped:
            return
        answer = self._answers.read(response)
        sums = answer.sums if answer is not None else None
        for news, verdict in due:
            if sums is None:
                # Maybe lost: who has really flushed says so again.
                verdict(Reply(503))
                continue
            refuted = [n for n, floor in news.items() if n not in sums or sums[n].floor < floor]
            for name in refuted:
                self._ground.counters.refused[name, "floor_not_confirmed"] += 1
            verdict(Reply(403, "Not Confirmed") if refuted else None)
        if node in self._waiting:
            self._ask(node)
