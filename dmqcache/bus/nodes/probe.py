"""Noticing the dead: one known node after the other is asked whether it is there.

Owns whose turn it is and when one is asked again. Every ``probe_interval`` one active node is asked, and now
and then one that is not; a node that lets a message wait is asked again and again in a *round*. All questions
come out of one budget (``budget.py``): two a second at most in the long run, with a reserve for the moment in
which something fails. A round ends as a death by what ``silence.py`` says: after 14 unanswered questions in a
row, about 2.3 s, or after fewer of our own where others of our kind have asked in vain too
(``suspicion.py``). Any answer on any channel ends a round. What others say starts one and counts beside our
own questions, but never alone. A refusal (ICMP, TCP reset) starts one too, and a second one in the same round
is proof at once.

Where many are silent at once, a network has come apart. Then all others are asked too, each silent one twice
by everybody, and what is left of the budget goes into talks with the living: two talk, and each knows
afterwards what the other has asked in vain.

A round to a node of our kind consists of pings, so that suspicions travel; to others, of knocks
(``verify.py``), which cost a Kamailio nothing, and a ping each ``ping_interval``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from dmqcache.bus.exchange.letter import Letter, Post
from dmqcache.bus.node import Node
from dmqcache.bus.nodes.budget import Budget
from dmqcache.bus.nodes.membership import Evidence, Membership
from dmqcache.bus.nodes.notification import Notification
from dmqcache.bus.nodes.probe_round import TRY_PAUSE, Round, pause_for
from dmqcache.bus.nodes.silence import MANY, OWN_TRIES, TRIES, Silence
from dmqcache.bus.nodes.suspicion import Witnesses, said_of_lost, said_of_silent
from dmqcache.bus.nodes.talks import RESERVE, Talks
from dmqcache.bus.nodes.turns import Turns
from dmqcache.bus.nodes.verify import IDLE_TIMEOUT, KNOCK_CHANNEL
from dmqcache.bus.peer import Response
from dmqcache.bus.runtime import Runtime, Timer

#: After so many unanswered tries others of our kind are asked next, so that they look for themselves: at 20%
#: loss each way one false alarm in 60 questions, which the budget bears.
TELL_TRIES = 4
#: Seconds between two times that all are asked because many are silent.
ROLL_CALL_GAP = 10.0
#: Seconds since its last answer for which a node is not asked then.
ROLL_CALL_RECENT = 1.0
#: Talks with the living in each turn while many are silent.
TALKS = 2
#: Seconds after a refusal until the node is asked once more: it may be starting again this moment.
REFUSED_PAUSE = 0.05
#: Seconds that a node may leave everything unanswered while it still calls: our way to it may be broken.
MUTE_SECONDS = 15.0
#: Seconds since its last call for which it counts as calling.
CALL_SECONDS = 2.0
#: Seconds of silence without which another's suspicion is not looked into.
RECENT = 0.5
#: Seconds between two times that all lost nodes are asked because one of them is back.
BACK_GAP = 1.0
#: The share of each turn that nodes which are not active get beside the one that is: one in two turns.
#: The rest fills the budget up again for the next failure.
IDLE_SHARE = 0.5
#: Turns of theirs that are left out while questions to silent nodes wait for the budget.
IDLE_PATIENCE = 6.0


class FailureDetector:
    """The watch of one node over all others."""

    def __init__(
        self,
        runtime: Runtime,
        membership: Membership,
        notification: Notification,
        post: Post,
        budget: Budget,
        probe_interval: float,
        ping_interval: float,
        look_again: Callable[[Node], None],
    ) -> None:
        """``probe_interval``, ``ping_interval``: seconds. ``look_again`` asks a node that is not active."""
        self._runtime = runtime
        self._membership = membership
        self._notification = notification
        self._post = post
        self._budget = budget
        self._interval = probe_interval
        self._ping_interval = ping_interval
        self._look_again = look_again
        self._witnesses = Witnesses()
        self._rounds: dict[Node, Round] = {}
        #: Rounds whose next question waits for the budget.
        self._due: dict[Node, Round] = {}
        self._due_timer: Timer | None = None
        self._turns = Turns(runtime.random)
        self._due_first = False
        self._idle_turns = 0.0
        self._silence = Silence(runtime.now)
        #: Monotonic seconds of the last times that all were asked, and all lost ones.
        self._last_roll_call = self._last_back = float("-inf")
        self._talks = Talks(runtime.now, membership, budget, self._watch)
        self._timer: Timer | None = None

    def start(self) -> None:
        """Begin the watch, at a random point of the first interval."""
        self._timer = self._runtime.call_later(self._interval * self._runtime.random(), self._tick)

    def stop(self) -> None:
        """End the watch; nobody is declared dead any more."""
        for timer in (self._timer, self._due_timer):
            if timer is not None:
                timer.cancel()
        self._timer = self._due_timer = None
        for node in list(self._rounds):
            self._end(node)

    # -- evidence

    def answered(self, node: Node) -> None:
        """``node`` answered something."""
        was_lost = self._silence.answered(node)
        self._witnesses.forget(node)
        self._end(node)
        if was_lost:
            self._ask_lost()

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

    def suspected(self, node: Node, teller: Node, questions: int) -> None:
        """Another node has asked ``node`` so often in vain."""
        now = self._runtime.now()
        if node.last_answer is None or now - node.last_answer >= RECENT:
            self._witnesses.say(node, teller.uri, questions, now)
            if questions >= TELL_TRIES:
                self._begin(node)
            self._ask_due()

    def trusted(self, node: Node, teller: Node) -> None:
        """Another node holds ``node`` active and has nothing against it (any more)."""
        self._witnesses.take_back(node, teller.uri)

    def suspected_ourselves(self, teller: Node, questions: int) -> None:
        """Another node says that we do not answer it: a sign of life."""
        if questions >= TELL_TRIES and self._budget.take():
            self._notification.ping(teller, timeout=IDLE_TIMEOUT, repeat=False)

    def suspicion(self, node: Node) -> int:
        """How often ``node`` was asked in vain just now; 0: no reason to tell anybody."""
        round_ = self._rounds.get(node)
        if round_ is not None:
            return said_of_silent(round_.unanswered)
        lost_at = self.lost_at(node)
        return said_of_lost(self._runtime.now() - lost_at) if lost_at is not None else 0

    def lost_at(self, node: Node) -> float | None:
        """See :meth:`Silence.lost_at`."""
        return self._silence.lost_at(node)

    # -- turns

    def _tick(self) -> None:
        self._timer = self._runtime.call_later(self._interval, self._tick)
        others = self._membership.nodes.others()
        many = self._many_are_silent()
        # Where the budget is at its end, questions that wait for it take turns with the watch: by its own
        # the living tell each other, and more of the dead are found.
        waiting = bool(self._due)
        self._due_first = waiting and not self._due_first
        watched = self._ask_first() if self._due_first else self._watch(others)
        if watched:
            self._budget.owe()
        if many and not waiting:
            self._talks.talk(TALKS - 1, 0.0)
        self._idle_turns += IDLE_SHARE if watched else 1.0
        if self._idle_turns < (IDLE_PATIENCE if waiting else 1.0) and not self._budget.full:
            return
        absent = [node for node in others if not (node.active or node.stranger)]
        self._idle_turns = 0.0
        if absent:
            self._budget.owe()
            self._look_again(self._turns.next(absent))

    def _ask_lost(self) -> None:
        """One that was lost is back: maybe the network is, and all others with it."""
        now = self._runtime.now()
        if self._timer is None or now - self._last_back < BACK_GAP:
            return
        self._last_back = now
        for node in self._membership.nodes.others():
            if self.lost_at(node) is not None and not node.active and self._budget.take(leave=RESERVE):
                self._look_again(node)

    def _ask_first(self) -> bool:
        node = self._first_due(self._runtime.now())
        self._ask(node, self._due.pop(node))
        return True

    def _watch(self, nodes: Iterable[Node]) -> bool:
        """Ask the active one of ``nodes`` whose turn it is, unless all are being asked."""
        candidates = [node for node in nodes if node.active and node not in self._rounds]
        if candidates:
            self._begin(self._turns.next(candidates), paid=True)
        return bool(candidates)

    # -- rounds

    def _begin(self, node: Node, *, pause_first: float = 0.0, paid: bool = False) -> None:
        if self._timer is None or not node.active or node in self._rounds:
            return
        round_ = self._rounds[node] = Round(self._runtime.now(), pause_for(node))
        if pause_first:
            self._arm(node, round_, pause_first)
        elif paid:
            self._ask(node, round_)
        else:
            self._try(node, round_)

    def _arm(self, node: Node, round_: Round, pause: float) -> None:
        if round_.timer is not None:
            round_.timer.cancel()
        round_.timer = self._runtime.call_later(pause, partial(self._on_timer, node, round_))

    def _on_timer(self, node: Node, round_: Round) -> None:
        if self._rounds.get(node) is not round_:
            return
        now = self._runtime.now()
        if round_.tries > round_.unanswered:
            round_.unanswered = round_.tries
            self._silence.asked_in_vain()
            if self._silence.cut_off:
                self._ask_all(0.0)
            elif self._many_are_silent() and now - self._last_roll_call >= ROLL_CALL_GAP:
                self._last_roll_call = now
                self._ask_all(ROLL_CALL_RECENT)
            if round_.unanswered >= TELL_TRIES and not round_.told:
                round_.told = True
                self._talks.tell()
        if self._is_proof(node, round_):
            self._verdict(node, round_)
        else:
            self._try(node, round_)

    def _ask_all(self, recent: float) -> None:
        """Ask every active node that has answered nothing for ``recent`` seconds."""
        now = self._runtime.now()
        for node in self._membership.nodes.active():
            if node.last_answer is None or now - node.last_answer >= recent:
                self._begin(node)

    def _is_proof(self, node: Node, round_: Round) -> bool:
        own = round_.unanswered
        together = own + self._witnesses.count(node, self._runtime.now())
        if together < OWN_TRIES and not self._silence.cut_off:
            return False
        return self._silence.enough(own, together, len(self._silent()), self._actives())

    def _is_proof_together(self, round_: Round) -> bool:
        """The same of a node whose next question the budget does not allow yet."""
        spent = self._budget.wait() > TRY_PAUSE
        return spent and self._silence.enough_together(round_.unanswered, self._silent(), self._actives())

    def _actives(self) -> int:
        return len(self._membership.nodes.active())

    def _silent(self) -> list[int]:
        """How often each active node was asked in vain that leaves us without answers and does not call."""
        recent = self._runtime.now() - CALL_SECONDS
        return [
            round_.unanswered
            for node, round_ in self._rounds.items()
            if round_.unanswered >= OWN_TRIES and (node.last_seen is None or node.last_seen < recent)
        ]

    def _many_are_silent(self) -> bool:
        """Here, or as others say."""
        silent = len(self._silent()) + self._silence.gone
        if silent >= MANY or not silent:
            return silent >= MANY
        now = self._runtime.now()
        return (
            silent
            + sum(
                node not in self._rounds and self._witnesses.count(node, now) >= OWN_TRIES
                for node in self._membership.nodes.active()
            )
            >= MANY
        )

    def _try(self, node: Node, round_: Round) -> None:
        """Ask as soon as the budget allows it."""
        self._due[node] = round_
        self._ask_due()

    def _ask_due(self) -> None:
        """What waits for the budget: judge it by what others have said meanwhile, or ask."""
        now = self._runtime.now()
        for node, round_ in list(self._due.items()):
            if self._due.get(node) is round_ and (
                self._is_proof(node, round_) or self._is_proof_together(round_)
            ):
                del self._due[node]
                self._verdict(node, round_)
        while self._due and self._budget.take():
            node = self._first_due(now)
            self._ask(node, self._due.pop(node))
        if self._due and self._due_timer is None:
            self._due_timer = self._runtime.call_later(self._budget.wait(), self._on_due)

    def _first_due(self, now: float) -> Node:
        """When many are gone at once it decides soonest to ask those first that others have asked."""

        def rank(node: Node) -> tuple[bool, int, int]:
            round_ = self._due[node]
            return round_.unanswered >= OWN_TRIES, -self._witnesses.count(node, now), round_.tries

        return min(self._due, key=rank)

    def _on_due(self) -> None:
        self._due_timer = None
        self._ask_due()

    def _ask(self, node: Node, round_: Round) -> None:
        round_.tries += 1
        self._arm(node, round_, round_.pause)
        timeout = (TRIES + 1) * round_.pause
        if node.ours or (round_.tries == 1 and self._ping_is_due(node)):
            sending = self._notification.ping(node, timeout=timeout, repeat=False)
        else:
            letter = Letter(KNOCK_CHANNEL, node.uri, b"", timeout=timeout, repeat=False)
            sending = self._post(letter, _ignore)
        round_.sendings.append(sending)

    def _ping_is_due(self, node: Node) -> bool:
        return self._runtime.now() - self._notification.last_ping(node) >= self._ping_interval

    def _verdict(self, node: Node, round_: Round) -> None:
        now = self._runtime.now()
        last_answer = node.last_answer if node.last_answer is not None else self._membership.last_up(node)
        seen = node.last_seen
        calls = seen is not None and seen >= round_.began and now - seen < CALL_SECONDS
        if calls and now - last_answer < MUTE_SECONDS:
            self._arm(node, round_, CALL_SECONDS / 4)
        else:
            self._lost(node)

    def _lost(self, node: Node) -> None:
        round_ = self._end(node)
        self._membership.judge(node, Evidence.LOST)
        self._silence.gave_up(node, round_.unanswered if round_ is not None else 0)
        if round_ is not None and not round_.told:
            self._talks.tell()

    def _end(self, node: Node) -> Round | None:
        round_ = self._rounds.pop(node, None)
        self._due.pop(node, None)
        if round_ is not None:
            round_.close()
        return round_


def _ignore(response: Response) -> None:
    """What an answer means is told to the detector as evidence, whatever the channel."""
