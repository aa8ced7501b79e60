"""Requests of ours that wait for their answer: RFC 3261's non-INVITE client transaction (17.1.2).

Owns timers E and F, and finding the transaction that a reply or a transport error belongs to. Which step
follows in which state is ``transaction_states.py``'s; what is sent to whom, ``outgoing.py``'s; requests of
others are ``replay.py``'s.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import NamedTuple

from dmqcache.bus.bus_counters import BusCounters
from dmqcache.bus.exchange.late_answers import LateAnswers, OnLate
from dmqcache.bus.exchange.transaction_states import TABLE, Action, Event, State
from dmqcache.bus.runtime import Runtime, Timer
from dmqcache.bus.sip.sip_message import SipResponse
from dmqcache.bus.sip.uri import Endpoint
from dmqcache.bus.timers import TIMEOUT, fast_pause, rfc_pause
from dmqcache.bus.trust.signature import Signature
from dmqcache.defaults import T1, T2

log = logging.getLogger(__name__)

#: RFC 3261 8.1.1.7: every branch of this version of SIP starts so.
MAGIC_COOKIE = "z9hG4bK"
#: Bytes of a branch that only those to whom it is sent can know, and of the prefix that all branches share.
BRANCH_BYTES = 8
PREFIX_BYTES = 4
#: The branch of the topmost Via in the beginning of a request of ours.
_BRANCH = re.compile(rb";branch=([0-9A-Za-z]+)")
#: Our own Via parameter in fast requests: which send this is, from 0. A reply copies the Via (RFC 3261
#: 8.2.6.2), so the round trip is known even for a request that was sent again.
SEND_PARAM = "try"
#: Seconds without a reply until a request counts as a sign that the node may be gone.
SILENCE = 0.4


class Outcome(NamedTuple):
    """How a transaction ended. ``response`` is None when the status was made here."""

    status: int
    response: SipResponse | None
    #: Seconds from the send that was answered to the answer, None if that send is not known.
    rtt: float | None
    retransmissions: int
    #: Monotonic seconds of the first send.
    sent_at: float


#: Whether a reply counts that came from an endpoint for a request that had this signature.
Counts = Callable[[Signature | None, SipResponse, Endpoint], bool]


class Plan(NamedTuple):
    """How one request is repeated."""

    #: Seconds until a local 408.
    timeout: float = TIMEOUT
    #: Seconds to the first retransmission by the node's measured round trip; None: RFC 3261's timer E.
    rto: float | None = None
    #: False: sent once (reliable transport, or a probe that brings its own repetition).
    repeat: bool = True


class ClientTransaction:
    """One request on its way to one endpoint."""

    __slots__ = (
        "_data",
        "_deadline",
        "_done",
        "_on_late",
        "_owner",
        "_plan",
        "_sent_at",
        "_timer",
        "branch",
        "channel",
        "endpoint",
        "seal",
        "state",
    )

    def __init__(
        self,
        owner: ClientTransactions,
        data: bytes,
        branch: str,
        endpoint: Endpoint,
        channel: str,
        plan: Plan,
        done: Callable[[Outcome], None],
        seal: Signature | None = None,
        on_late: OnLate | None = None,
    ) -> None:
        #: What it was signed with: its reply signs that.
        self.seal = seal
        self.branch = branch
        self.endpoint = endpoint
        self.channel = channel
        self.state = State.TRYING
        self._owner = owner
        self._data = data
        self._plan = plan
        self._done = done
        self._on_late = on_late
        self._sent_at = [owner.runtime.now()]
        self._deadline = self._sent_at[0] + plan.timeout
        self._timer: Timer = self._arm()
        owner.send(data, endpoint)

    def cancel(self) -> None:
        """Stop; nobody is told."""
        self.on_event(Event.CANCEL)

    def end(self, status: int) -> None:
        """Finish with a status that the bus itself found out (482: the request came back to us)."""
        if self.state is not State.TERMINATED:
            self.state = State.TERMINATED
            self._finish(self._outcome(status))

    def on_event(self, event: Event, response: SipResponse | None = None) -> None:
        """Take one step of the table."""
        step = TABLE.get((self.state, event))
        if step is None:
            return
        self.state, action = step
        if action is Action.RETRANSMIT:
            self._retransmit()
        if self.state is not State.TERMINATED:
            return
        if action is Action.DELIVER and response is not None:
            self._finish(self._outcome(response.status, response))
        elif action is Action.TIMED_OUT:
            self._finish(self._outcome(408))
        elif action is Action.UNDELIVERABLE:
            self._finish(self._outcome(503))
        else:
            self._finish(None)

    def _outcome(self, status: int, response: SipResponse | None = None) -> Outcome:
        rtt = self._round_trip(response) if response is not None else None
        return Outcome(status, response, rtt, len(self._sent_at) - 1, self._sent_at[0])

    def _finish(self, outcome: Outcome | None) -> None:
        self._timer.cancel()
        self._owner.forget(self)
        answers = 0 if outcome is None or outcome.response is None else 1
        if self._on_late is not None and len(self._sent_at) > answers:
            self._owner.late.expect(self.branch, self.endpoint, self.seal, self._on_late)
        if outcome is not None:
            self._done(outcome)

    def _arm(self) -> Timer:
        """One timer serves both E and F: the earlier of the two."""
        now = self._sent_at[-1]
        fires = min(now + self._pause(), self._deadline)
        return self._owner.runtime.call_later(max(fires - now, 0.0), self._on_timer)

    def _pause(self) -> float:
        plan, sends = self._plan, len(self._sent_at)
        if not plan.repeat:
            return plan.timeout
        if self.state is State.PROCEEDING:
            return self._owner.t2
        if plan.rto is not None:
            return fast_pause(sends, plan.rto, self._owner.t2)
        return rfc_pause(sends, self._owner.t1, self._owner.t2)

    def _on_timer(self) -> None:
        over = self._owner.runtime.now() >= self._deadline - 1e-9
        self.on_event(Event.TIMER_F if over else Event.TIMER_E)

    def _retransmit(self) -> None:
        owner = self._owner
        now = owner.runtime.now()
        self._sent_at.append(now)
        self._timer = self._arm()
        owner.counters.retransmissions["out"] += 1
        data = self._data
        if self._plan.rto is not None:
            resent = len(self._sent_at) - 1
            data = data.replace(f"{self.branch};{SEND_PARAM}=0".encode(), self._marked(resent), 1)
        owner.send(data, self.endpoint)
        if now - self._sent_at[0] >= SILENCE:
            owner.on_silence(self.endpoint)

    def _marked(self, resent: int) -> bytes:
        return f"{self.branch};{SEND_PARAM}={resent}".encode()

    def _round_trip(self, response: SipResponse) -> float | None:
        """The time since the send that was answered; unknown for a stranger's reply to a repeated request."""
        now = self._owner.runtime.now()
        if len(self._sent_at) == 1:
            return now - self._sent_at[0]
        if self._plan.rto is None:
            return None
        try:
            answered = int(response.via.params.get(SEND_PARAM) or "")
        except ValueError:
            return None
        return now - self._sent_at[answered] if 0 <= answered < len(self._sent_at) else None


class ClientTransactions:
    """All requests of ours that are under way, by branch and by endpoint."""

    def __init__(
        self,
        runtime: Runtime,
        send: Callable[[bytes, Endpoint], None],
        counters: BusCounters,
        *,
        t1: float = T1,
        t2: float = T2,
        on_silence: Callable[[Endpoint], None] = lambda endpoint: None,
        sources: Iterable[tuple[str, str]] = (),
        counts: Counts = lambda seal, response, endpoint: True,
    ) -> None:
        """``on_silence`` hears of an endpoint that let a request wait for :data:`SILENCE` seconds.
        ``sources``: hosts, and others from which each of them sends as well. ``counts`` says whether a reply
        is worth anything."""
        self._sources = frozenset(sources)
        self._counts = counts
        self.runtime = runtime
        self.send = send
        self.counters = counters
        self.t1 = t1
        self.t2 = t2
        self.on_silence = on_silence
        self._by_branch: dict[str, ClientTransaction] = {}
        #: Insertion order, so that a failed endpoint's requests end in the order in which they were sent.
        self._by_endpoint: dict[Endpoint, dict[str, ClientTransaction]] = {}
        secret = runtime.token().encode()
        self._prefix = MAGIC_COOKIE + blake2b(key=secret, digest_size=PREFIX_BYTES).hexdigest()
        self._keyed = blake2b(key=secret, digest_size=BRANCH_BYTES)
        self._count = 0
        #: What is over, and may still be answered.
        self.late = LateAnswers(runtime.now)

    def __len__(self) -> int:
        return len(self._by_branch)

    def next_branch(self) -> str:
        """A branch that nobody used before, and that nobody can guess who has not seen it: a reply is proof
        of an address only as long as those to others cannot be told from one's own."""
        self._count += 1
        keyed = self._keyed.copy()
        keyed.update(b"%d" % self._count)
        return self._prefix + keyed.hexdigest()

    def start(
        self,
        data: bytes,
        branch: str,
        endpoint: Endpoint,
        channel: str,
        plan: Plan,
        done: Callable[[Outcome], None],
        seal: Signature | None = None,
        on_late: OnLate | None = None,
    ) -> ClientTransaction:
        """Send ``data``, which has this signature, and see it through. ``done`` is called once, unless it is
        cancelled; ``on_late`` for each answer that comes when it is over."""
        if endpoint.transport != "udp":
            plan = plan._replace(repeat=False)
        transaction = ClientTransaction(self, data, branch, endpoint, channel, plan, done, seal, on_late)
        self._by_branch[branch] = transaction
        self._by_endpoint.setdefault(endpoint, {})[branch] = transaction
        return transaction

    def find(self, branch: str | None) -> ClientTransaction | None:
        """The transaction of a branch, or None if it has ended or was never ours."""
        return self._by_branch.get(branch) if branch else None

    def is_under_way(self, begins: bytes, endpoint: Endpoint) -> bool:
        """Whether a request that begins so waits for an answer from there. Only its branch tells: nobody else
        can guess it."""
        found = _BRANCH.search(begins)
        return found is not None and found[1].decode() in self._by_endpoint.get(endpoint, {})

    def is_ours(self, branch: str) -> bool:
        """Whether a branch was drawn here, maybe long ago."""
        return branch.startswith(self._prefix)

    def on_response(self, response: SipResponse, source: Endpoint) -> ClientTransaction | None:
        """Match a reply by the branch in its topmost Via (RFC 3261 17.1.3); returns whose it was. It must
        come from the host that was asked: a reply leaves by the socket to which the request came (RFC 3581
        section 4), and another host's word says nothing of this one."""
        branch = response.via.params.get("branch") or ""
        transaction = self._by_branch.get(branch)
        if transaction is None or response.cseq.method != "KDMQ":
            self.counters.drops["late_reply" if self.is_ours(branch) else "stray_reply"] += 1
            if transaction is None and response.cseq.method == "KDMQ":
                self._came_late(branch, response, source)
            return None
        if not self._comes_from(source, transaction.endpoint):
            self.counters.drops["reply_from_elsewhere"] += 1
            return None
        if not self._counts(transaction.seal, response, transaction.endpoint):
            return None
        event = Event.PROVISIONAL if response.status < 200 else Event.FINAL
        transaction.on_event(event, response)
        return transaction

    def _comes_from(self, source: Endpoint, asked: Endpoint) -> bool:
        return source.host == asked.host or (asked.host, source.host) in self._sources

    def _came_late(self, branch: str, response: SipResponse, source: Endpoint) -> None:
        over = self.late.find(branch)
        if over is None or response.status < 200 or not self._comes_from(source, over.endpoint):
            return
        if self._counts(over.seal, response, over.endpoint):
            over.on_late()

    def transport_failed(self, endpoint: Endpoint) -> int:
        """End everything under way to ``endpoint`` with a local 503; returns how many there were."""
        waiting = list(self._by_endpoint.get(endpoint, {}).values())
        for transaction in waiting:
            transaction.on_event(Event.TRANSPORT_ERROR)
        return len(waiting)

    def forget(self, transaction: ClientTransaction) -> None:
        """Called by a transaction that has ended."""
        self._by_branch.pop(transaction.branch, None)
        there = self._by_endpoint.get(transaction.endpoint)
        if there is not None:
            there.pop(transaction.branch, None)
            if not there:
                del self._by_endpoint[transaction.endpoint]

    def cancel_all(self) -> None:
        """Drop everything: the node is closing."""
        for transaction in list(self._by_branch.values()):
            transaction.cancel()
