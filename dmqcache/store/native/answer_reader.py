"""What answers of dmqcache nodes say beside what was asked: the time, and that something is too far ahead.

Only answers tell the time, those to comparisons and those that refuse something: how long they took is known,
so a message that lay in a socket moves no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from dmqcache.bus.loop_steps import in_steps
from dmqcache.bus.peer import Response
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.store.ground import Ground
from dmqcache.store.native.native_message import Answer, decode_answer
from dmqcache.store.outbox.outboxes import Outboxes
from dmqcache.store.table.row import RowError

#: Seconds for which nothing is looked for again that lies too far ahead, if nothing did and no clock was set
#: back: all cells are looked at for that, and a node may say anything.
NONE_S: Final = 10.0
#: Milliseconds by which a clock is set back at least; less is how clocks drift.
SET_BACK_MS: Final = 100.0


class AnswerReader:
    """Reads them, and passes the others' wall clocks on to ours."""

    def __init__(self, ground: Ground, outboxes: Outboxes, compare: Callable[[NodeURI], None]) -> None:
        """``compare``: compare with a dmqcache node soon."""
        self._ground = ground
        self._outboxes = outboxes
        self._compare = compare
        #: Monotonic seconds: something of ours lay too far ahead within the last :data:`NONE_S`.
        self._wrong_until = 0.0
        #: Nothing lay too far ahead when all cells were looked at: until when that counts (monotonic
        #: seconds), and by how many ms our clock was ahead of the monotonic one then.
        self._none_until = self._none_ahead = 0.0
        #: Who refused something, while all cells are looked at.
        self._refused: dict[NodeURI, None] = {}

    def read(self, response: Response) -> Answer | None:
        """What a dmqcache node has answered; None: nothing. Of a node that is away nothing is kept."""
        if response.status != 200 or not response.body:
            return None
        try:
            answer = decode_answer(response.body)
        except RowError:
            return None
        if response.node in self._outboxes:
            self._ground.clock.heard(str(response.node), answer.now, response.rtt)
            if answer.ahead:
                self._redate(response.node)
        return answer

    def heard(self, response: Response) -> None:
        """The same, for somebody who asked for nothing."""
        self.read(response)

    def forget(self, node: NodeURI) -> None:
        """A node is gone; its clock counts no more."""
        self._ground.clock.forget(str(node))

    def _redate(self, node: NodeURI) -> None:
        """A node refused what lies too far ahead: if our clock was wrong, all of it is dated as written now.
        Else that one's is, and it gets the same once more when it has found out."""
        # First of all, as what is dated anew is sent at once: until it is, the node has not what it refused.
        self._outboxes[node].overflowed = True
        if node in self._refused:
            return
        self._refused[node] = None
        if len(self._refused) == 1:
            clock = self._ground.clock
            clock.correct()
            now, ahead = clock.now(), clock.wall_ms() - 1000.0 * clock.now()
            if now < self._none_until and ahead > self._none_ahead - SET_BACK_MS:
                self._looked(0)
            else:
                self._date_anew(ahead)

    def _date_anew(self, ahead: float) -> None:
        """Look through all tables, in steps."""
        number = 0

        def pieces() -> Iterator[None]:
            nonlocal number
            for table in self._ground.replicated():
                for count in self._ground.counted(table.name, table.redate_in_pieces()):
                    number += count
                    yield

        def ended() -> None:
            now = self._ground.clock.now()
            self._none_until, self._none_ahead = (0.0 if number else now + NONE_S), ahead
            self._looked(number)

        in_steps(self._ground.runtime, pieces(), ended, lambda: self._ground.stopped)

    def _looked(self, number: int) -> None:
        """So many cells of ours lay too far ahead, and do not any more."""
        refused, self._refused = self._refused, {}
        now = self._ground.clock.now()
        # All that refused something have to be compared with, and not by and by.
        if number:
            self._wrong_until = now + NONE_S
            for outbox in self._outboxes.values():
                if outbox.native and outbox.overflowed:
                    self._compare(outbox.node)
        elif now < self._wrong_until:
            for node in refused:
                self._compare(node)
