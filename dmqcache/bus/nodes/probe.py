"""Noticing the dead: one known node after the other is asked whether it is there.

Owns whose turn it is and when silence is proof. Every ``probe_interval`` one active node is asked, and beside
it one that is not (so at most two messages a second at the default); a node that lets a message wait is asked
again and again in a *round*, and given up after :data:`TRIES` unanswered in a row, about 2.3 s. With every
fifth message lost on each way a living node fails a round once in 1,600,000; and any answer on any channel
ends it.

First-hand evidence only. What another node suspects (a line of its list) starts a round here, nothing more. A
refusal (ICMP, TCP reset) starts one too, and a second one in the same round is proof at once.

A round to a node of our kind consists of pings, so that suspicions travel; to others, of knocks
(``verify.py``), which cost a Kamailio nothing, and a ping each ``ping_interval``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import partial
from weakref import WeakKeyDictionary

from dmqcache.bus.exchange.letter import Letter, Post
from dmqcache.bus.node import Node
from dmqcache.bus.nodes.membership import Evidence, Membership
from dmqcache.bus.nodes.notification import Notification
from dmqcache.bus.nodes.verify import KNOCK_CHANNEL
from dmqcache.bus.peer import Response, Sending
from dmqcache.bus.runtime import Runtime, Timer

log = logging.getLogger(__name__)

#: Unanswered messages in a row, in one round, that prove a node dead.
TRIES = 14
#: Seconds between two tries; more where the round trip is longer. 14 of them take 2.3 s: with three nodes
#: each has its turn every 2 s, so a dead one is noticed within 5 s.
TRY_PAUSE = 0.165
#: After so many tries the others of our kind are told to look for themselves (one false alarm in 500 rounds
#: at 20% loss each way).
TELL_TRIES = 6
#: Seconds after a refusal until the node is asked once more: it may be starting again this moment.
REFUSED_PAUSE = 0.05
#: Seconds that a node may leave everything unanswered while it still calls: our way to it may be broken.
MUTE_SECONDS = 15.0
#: Seconds of silence without which another's suspicion is not looked into.
RECENT = 0.5
#: Seconds for which the others are told of a node that was given up.
TOLD_SECONDS = 10.0


class _Round:
    """The questions to one node after it let the first one wait."""

    __slots__ = ("began", "hearsay", "pause", "refused", "sendings", "timer", "told", "tries")

    def __init__(self, began: float, pause: float, hearsay: bool) -> None:
        self.began = began
        self.pause = pause
        #: Another node's suspicion began it, so nobody needs to be told.
        self.hearsay = hearsay
        #: The others were told.
        self.told = False
        self.tries = 0
        self.refused = False
        self.sendings: list[Sending] = []
        self.timer: Timer | None = None

    def close(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
        for sending in self.sendings:
            sending.cancel()


class FailureDetector:
    """The watch of one node over all others."""

    def __init__(
        self,
        runtime: Runtime,
        membership: Membership,
        notification: Notification,
        post: Post,
        probe_interval: float,
        ping_interval: float,
        look_again: Callable[[Node], None],
    ) -> None:
        """``probe_interval``, ``ping_interval``: seconds. ``look_again`` asks a node that is not active."""
        self._runtime = runtime
        self._membership = membership
        self._notification = notification
        self._post = post
        self._interval = probe_interval
        self._ping_interval = ping_interval
        self._look_again = look_again
        self._rounds: dict[Node, _Round] = {}
        #: Turns taken so far, and the place of each node in the order in which they are asked.
        self._turns = 0
        self._turn: WeakKeyDictionary[Node, float] = WeakKeyDictionary()
        self._timer: Timer | None = None

    def start(self) -> None:
        """Begin the watch, at a random point of the first interval."""
        self._timer = self._runtime.call_later(self._interval * self._runtime.random(), self._tick)

    def stop(self) -> None:
        """End the watch; nobody is declared dead any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for node in list(self._rounds):
            self._end(node)

    # -- evidence

    def answered(self, node: Node) -> None:
        """``node`` answered something."""
        node.lost_at = None
        self._end(node)

    def forget(self, node: Node) -> None:
        """``node`` is not active any more: nothing is left to find out."""
        self._end(node)

    def unanswered(self, node: Node) -> None:
        """``node`` let something wait, or did not answer it at all."""
        self._begin(node)

    def refused(self, node: Node) -> None:
        """A message to ``node`` was refused on the way (ICMP, TCP)."""
        if not node.active:
            return
        if node not in self._rounds:
            self._begin(node, pause_first=REFUSED_PAUSE)
            return
        round_ = self._rounds[node]
        if round_.tries == 0:
            return
        if round_.refused:
            self._lost(node)
            return
        round_.refused = True
        self._arm(node, round_, REFUSED_PAUSE)

    def suspected(self, node: Node) -> None:
        """Another node says that ``node`` does not answer it."""
        now = self._runtime.now()
        if node.last_answer is None or now - node.last_answer >= RECENT:
            self._begin(node, hearsay=True)

    def is_suspect(self, node: Node) -> bool:
        """Whether ``node`` has left several questions unanswered, or was given up, just now."""
        round_ = self._rounds.get(node)
        if round_ is not None:
            return round_.tries >= TELL_TRIES
        return node.lost_at is not None and self._runtime.now() - node.lost_at < TOLD_SECONDS

    # -- turns

    def _tick(self) -> None:
        self._timer = self._runtime.call_later(self._interval, self._tick)
        others = self._membership.nodes.others()
        watched = self._next(node for node in others if node.active and node not in self._rounds)
        if watched is not None:
            self._begin(watched)
        absent = self._next(node for node in others if not (node.active or node.stranger))
        if absent is not None:
            self._look_again(absent)

    def _next(self, nodes: Iterable[Node]) -> Node | None:
        """Whose turn it is: the one whose last turn is longest ago. A new one gets in at a random place, so
        that the nodes of a cluster do not all ask the same one at a time."""
        candidates = list(nodes)
        for node in candidates:
            if node not in self._turn:
                self._turn[node] = self._turns - self._runtime.random() * len(candidates)
        chosen = min(candidates, key=self._turn.__getitem__, default=None)
        if chosen is not None:
            self._turns += 1
            self._turn[chosen] = self._turns
        return chosen

    # -- rounds

    def _begin(self, node: Node, *, hearsay: bool = False, pause_first: float = 0.0) -> None:
        if self._timer is None or not node.active or node in self._rounds:
            return
        pause = max(TRY_PAUSE, node.rtt.rto(TRY_PAUSE))
        round_ = self._rounds[node] = _Round(self._runtime.now(), pause, hearsay)
        if pause_first:
            self._arm(node, round_, pause_first)
        else:
            self._try(node, round_)

    def _arm(self, node: Node, round_: _Round, pause: float) -> None:
        if round_.timer is not None:
            round_.timer.cancel()
        round_.timer = self._runtime.call_later(pause, partial(self._on_timer, node, round_))

    def _on_timer(self, node: Node, round_: _Round) -> None:
        if self._rounds.get(node) is not round_:
            return
        if round_.tries >= TRIES:
            self._verdict(node, round_)
        else:
            self._try(node, round_)

    def _try(self, node: Node, round_: _Round) -> None:
        round_.tries += 1
        self._arm(node, round_, round_.pause)
        timeout = (TRIES + 1) * round_.pause
        if node.ours or (round_.tries == 1 and self._ping_is_due(node)):
            sending = self._notification.ping(node, timeout=timeout, repeat=False)
        else:
            letter = Letter(KNOCK_CHANNEL, node.uri, b"", timeout=timeout, repeat=False)
            sending = self._post(letter, _ignore)
        round_.sendings.append(sending)
        if round_.tries == TELL_TRIES and not round_.hearsay:
            self._notification.tell_suspicion(node)
            round_.told = True

    def _ping_is_due(self, node: Node) -> bool:
        return self._runtime.now() - self._notification.last_ping(node) >= self._ping_interval

    def _verdict(self, node: Node, round_: _Round) -> None:
        calls = node.last_seen is not None and node.last_seen >= round_.began
        last_answer = node.last_answer if node.last_answer is not None else node.last_up
        if calls and self._runtime.now() - last_answer < MUTE_SECONDS:
            self._end(node)
            self._begin(node)
        else:
            self._lost(node)

    def _lost(self, node: Node) -> None:
        round_ = self._end(node)
        self._membership.judge(node, Evidence.LOST)
        node.lost_at = self._runtime.now()
        if round_ is not None and not (round_.hearsay or round_.told):
            self._notification.tell_suspicion(node)

    def _end(self, node: Node) -> _Round | None:
        round_ = self._rounds.pop(node, None)
        if round_ is not None:
            round_.close()
        return round_


def _ignore(response: Response) -> None:
    """What an answer means is told to the detector as evidence, whatever the channel."""
