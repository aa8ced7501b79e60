"""How much is silent at once: one node, many, most, or all.

Owns what follows from silences together. One node's silence may be chance, or its own end; that of most nodes
at the same time is a network that has come apart, and what each of them leaves unanswered counts for more.
Asking is ``probe.py``'s business.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from weakref import WeakKeyDictionary

from dmqcache.bus.node import Node

#: Unanswered questions in a row to one node that prove it dead, our own and those of others together. With
#: every fifth message lost on each way a living node fails so once in 1,600,000.
TRIES = 14
#: So many of these at least must be our own.
OWN_TRIES = 2
#: So many nodes that leave us without answers at once are many.
MANY = 3
#: Questions together that prove one of them dead where two of five nodes are silent, and where three of four
#: are: that so many are by chance is out of the question, and a living one is back with its next answer.
MOST_TRIES = 10
NEARLY_ALL_TRIES = 6
#: So many of our own must be to each where all silent ones prove it together.
TOGETHER_TRIES = 3
#: Seconds for which a node that was given up counts among the silent ones.
GONE_SECONDS = 15.0
#: Where nobody at all answers we are cut off ourselves: after so many seconds, and :data:`TRIES` questions to
#: whomever, one question to each is enough.
CUT_OFF_SECONDS = 2.0


class Silence:
    """What one node gets no answers to."""

    def __init__(self, now: Callable[[], float]) -> None:
        """``now``: monotonic seconds."""
        self._now = now
        #: Questions in a row, to whomever, that nobody answered in time.
        self._in_vain = 0
        self._last_answer = now()
        #: The last deaths: monotonic seconds, and how many questions of ours proved it.
        self._gone: deque[tuple[float, int]] = deque(maxlen=1_000)
        #: Monotonic seconds when a node was given up that has answered nothing since.
        self._lost_at: WeakKeyDictionary[Node, float] = WeakKeyDictionary()

    def answered(self, node: Node) -> bool:
        """``node`` answered something. Returns whether it had been given up."""
        self._in_vain = 0
        self._last_answer = self._now()
        return self._lost_at.pop(node, None) is not None

    def asked_in_vain(self) -> None:
        """A question has waited for as long as an answer takes."""
        self._in_vain += 1

    def gave_up(self, node: Node, own: int = 0) -> None:
        """``node`` was given up, after ``own`` unanswered questions of ours."""
        self._lost_at[node] = now = self._now()
        self._gone.append((now, own))

    def lost_at(self, node: Node) -> float | None:
        """Monotonic seconds when ``node`` was given up; None: it was not, or has answered since."""
        return self._lost_at.get(node)

    @property
    def gone(self) -> int:
        """Nodes that were given up just now."""
        now = self._now()
        while self._gone and now - self._gone[0][0] > GONE_SECONDS:
            self._gone.popleft()
        return len(self._gone)

    @property
    def cut_off(self) -> bool:
        """Whether nobody at all answers."""
        return self._in_vain >= TRIES and self._now() - self._last_answer >= CUT_OFF_SECONDS

    def enough(self, own: int, together: int, silent: int, active: int) -> bool:
        """Whether a node is proven dead that we asked ``own`` times in vain, and all together ``together``
        times; ``silent`` of the ``active`` nodes leave us without answers."""
        if own and self.cut_off:
            return True
        if own < OWN_TRIES:
            return False
        gone = self.gone
        silent, nodes = silent + gone, active + gone
        if silent < MANY or 5 * silent < 2 * nodes:
            return together >= TRIES
        return together >= (MOST_TRIES if 4 * silent < 3 * nodes else NEARLY_ALL_TRIES)

    def enough_together(self, own: int, silent: Sequence[int], active: int) -> bool:
        """The same where no more questions may be asked for now; ``silent``: how often each of the silent
        nodes was asked in vain. Where nearly all are silent, what any of them leaves unanswered speaks of all
        that were asked as often."""
        gone = self.gone
        nodes = len(silent) + gone
        if nodes < MANY or 4 * nodes < 3 * (active + gone):
            return False
        in_vain = sum(silent) + sum(questions for _, questions in self._gone)
        return own >= TOGETHER_TRIES and in_vain >= TRIES and (own + 1) * nodes >= in_vain
