"""The one who looks at every message of a bus with a key: signs what goes, and says what comes counts.

Owns the policy. Who must sign: everybody; while a cluster is moved to a key (``required`` false) nobody; and
never the Kamailio nodes that an operator lists, which hold no key. What they send without a signature says
nothing of being a dmqcache node, and nothing in the name of a node that signs.

=============================  ==========================================  ===================================
what comes                     where a signature is required               where it is not
=============================  ==========================================  ===================================
well signed                    counts                                      counts
well signed, token missing     401 that tells it; the sender asks again    the same
well signed, was here before   its reply again, or dropped: ``replayed``   the same
unsigned, listed Kamailio      counts, its ``Supported`` does not          counts
unsigned                       dropped: ``unsigned``                       counts; said once
another key                    dropped: ``unknown_key``                    counts as unsigned; said once
another text                   dropped: ``bad_signature``                  counts as unsigned; said once
=============================  ==========================================  ===================================

Without a key all counts. What is dropped is answered by nothing but, a few times a minute for all, a 403
that names our key, so that whoever has the wrong one, or none, hears of it too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from dmqcache.bus.allow import AllowList
from dmqcache.bus.bounded import Bounded
from dmqcache.bus.bus_counters import BusCounters
from dmqcache.bus.runtime import Runtime
from dmqcache.bus.sip.serialize import Author, Draft
from dmqcache.bus.sip.sip_message import SipMessage, SipRequest, SipResponse
from dmqcache.bus.sip.uri import Endpoint
from dmqcache.bus.trust.keys import KeyRing
from dmqcache.bus.trust.meaning import of_draft, of_request, of_response
from dmqcache.bus.trust.signature import HEADER_KEY, Signature, Signer, Verdict, key_name, only_key
from dmqcache.bus.trust.standing import Standing, Standings

#: Nodes to which this one has sent lately.
MAX_SEATS: Final = 4096
#: Largest CSeq (RFC 3261 8.1.1.5).
MAX_NUMBER: Final = 2**31 - 1
#: Seconds for which a node that has signed is not believed to speak without a signature.
SIGNED_LATELY: Final = 60.0


@dataclass(frozen=True, slots=True)
class KeyPolicy:
    """A bus with a key."""

    ring: KeyRing
    #: Whether who does not sign is turned away. False while a cluster is moved from no key to one.
    required: bool = True
    #: Hosts of Kamailio nodes, which need not sign. Empty: there are none.
    kamailio: AllowList = field(default_factory=AllowList)


class Pass(NamedTuple):
    """A request that counts."""

    #: None: it is not signed.
    seal: Signature | None = None
    #: It was here before: it gets its reply again, and is handled no second time.
    repeated: bool = False
    #: It does not show the token, and counts only when it comes again with it.
    token_needed: bool = False


#: Without a signature.
PLAIN: Final = Pass()


@dataclass(slots=True)
class _Seat:
    """A node to which this one sends."""

    token: str = ""
    #: The CSeq of the last request to it.
    number: int = 0
    #: Monotonic seconds: it last answered with a signature.
    signed_at: float = float("-inf")
    has_signed: bool = False


class Guard:
    """The guard of one node."""

    def __init__(self, policy: KeyPolicy | None, runtime: Runtime, counters: BusCounters) -> None:
        """``policy``: None for a bus without a key."""
        self._runtime = runtime
        self._counters = counters
        self.standings = Standings(runtime.now)
        self._seats: Bounded[Endpoint, _Seat] = Bounded(MAX_SEATS)
        #: How many requests this node had sent when it last began to number them anew.
        self._base = 0
        #: None: this node has no key.
        self.signer: Signer | None = None
        #: Whether who does not sign is turned away, but for listed Kamailio nodes.
        self.required = policy is not None and policy.required
        #: None: nobody is listed.
        self._kamailio = policy.kamailio if policy is not None and policy.kamailio else None
        if policy is not None:
            self.signer = Signer(policy.ring, runtime.token(), runtime.token)

    def use(self, ring: KeyRing) -> None:
        """From now on these keys count, and the first of them signs. ValueError on a bus without a key."""
        if self.signer is None:
            raise ValueError("a node that was started without a key takes none while it runs")
        self.signer.ring = ring

    def lists(self, host: str) -> bool:
        """Whether a host is listed as a Kamailio's."""
        return self._kamailio is not None and self._kamailio.allows(host)

    # -- what goes

    def number(self, endpoint: Endpoint, count: int) -> int:
        """The CSeq of the next request to an endpoint: each node is numbered in a row of its own, so that few
        numbers lie between two that it gets. ``count``: how many requests this node has sent in all, of which
        no row is ahead."""
        if self.signer is None:
            return count & MAX_NUMBER
        seat = self._seats.get(endpoint)
        if seat is None:
            seat = self._seats[endpoint] = _Seat(number=count - self._base - 1)
        seat.number += 1
        if seat.number > MAX_NUMBER:
            self._begin_anew(count)
            return self.number(endpoint, count)
        return seat.number

    def _begin_anew(self, count: int) -> None:
        """No number is left: this node goes on as another sender, which is told new tokens."""
        assert self.signer is not None
        self.signer.instance = self._runtime.token()
        self._base = count
        for seat in self._seats.values():
            seat.token, seat.number = "", -1

    def sign(
        self, author: Author, draft: Draft, endpoint: Endpoint, to_signers: bool = False
    ) -> Signature | None:
        """The signature of a request to an endpoint; None without a key. ``to_signers``: None also if who
        listens there has never answered with a signature."""
        if self.signer is None:
            return None
        seat = self._seats.get(endpoint)
        if to_signers and (seat is None or not seat.has_signed):
            return None
        return self.signer.sign(of_draft(author, draft), draft.body, seat.token if seat is not None else "")

    # -- what comes

    def admits_unsigned(self, source: Endpoint) -> bool:
        """Whether something that nobody could sign, as what is broken, gets an answer at all."""
        return not self.required or self.lists(source.host)

    def admit(self, request: SipRequest, source: Endpoint) -> Pass | None:
        """What a request is worth; None: it is dropped, and counted."""
        if self.signer is None:
            return PLAIN
        header = request.headers.get(HEADER_KEY)
        verdict, seal = self.signer.judge(header, of_request(request), request.body, request.cseq.number)
        if verdict is Verdict.GOOD:
            seat = self._seats.get(source)
            if seat is not None and not seat.has_signed:
                self._signed(seat, source)
            return Pass(seal)
        if verdict is Verdict.REPEATED:
            return Pass(seal, repeated=True)
        if verdict is Verdict.TOKEN_NEEDED:
            return Pass(seal, token_needed=True)
        return PLAIN if self._unproven(request, source, verdict) else None

    def refusal(self) -> str:
        """The value of a 403's header for who was just dropped; empty: this time he is told nothing."""
        if self.signer is None or not self.standings.may_refuse():
            return ""
        return only_key(self.signer.ring.signing)

    def not_handled(self, seal: Signature | None, number: int) -> None:
        """A request with this CSeq was turned away: a copy of it may be handled."""
        if self.signer is not None and seal is not None:
            self.signer.give_back(seal, number)

    def counts(self, sent: Signature | None, response: SipResponse, endpoint: Endpoint) -> bool:
        """Whether the reply to a request that was sent with this signature to ``endpoint`` counts."""
        header = response.headers.get(HEADER_KEY)
        if self.signer is None:
            if response.status == 403 and key_name(header):
                self.standings.note(endpoint, Standing.WANTS_KEY, True, key_name(header))
            return True
        if sent is None:
            # Nothing to sign was in the request, so this says nothing of who answers.
            return not self.required or self._unproven(response, endpoint, Verdict.ABSENT)
        verdict, token = self.signer.judge_reply(header, sent, of_response(response), response.body)
        if verdict is not Verdict.GOOD:
            return self._unproven(response, endpoint, verdict)
        seat = self._seats.get(endpoint)
        if seat is not None:
            seat.token = token
            self._signed(seat, endpoint)
        return True

    def must_sign(self, endpoint: Endpoint | None) -> bool:
        """Whether something without a signature, from a listed host, speaks in the name of a node that
        signs: then it is forged."""
        return self.required and endpoint is not None and self._signed_lately(endpoint)

    def _signed(self, seat: _Seat, endpoint: Endpoint) -> None:
        seat.has_signed, seat.signed_at = True, self._runtime.now()
        self.standings.signs(endpoint)

    def _signed_lately(self, endpoint: Endpoint) -> bool:
        seat = self._seats.get(endpoint)
        return seat is not None and self._runtime.now() - seat.signed_at < SIGNED_LATELY

    def _unproven(self, message: SipMessage, source: Endpoint, verdict: Verdict) -> bool:
        """Whether a message counts that nobody has signed well."""
        listed = self.lists(source.host)
        if verdict is Verdict.ABSENT and listed:
            if isinstance(message, SipResponse) and self.must_sign(source):
                return self._drop(verdict)
            if self.required:
                message.headers.drop("supported")
            return True
        key, ours = key_name(message.headers.get(HEADER_KEY)), self.signer.ring.names if self.signer else ""
        calls = isinstance(message, SipRequest) and source.transport != "udp"
        whom = source._replace(port=0) if calls else source
        if not self._signed_lately(whom):  # else it was forged, and says nothing of that node
            self.standings.note(whom, _STANDINGS[verdict], self.required, key, ours)
        return not self.required or self._drop(verdict)

    def _drop(self, verdict: Verdict) -> bool:
        self._counters.drops[verdict.value] += 1
        return False


_STANDINGS: Final = {
    Verdict.ABSENT: Standing.NO_KEY,
    Verdict.UNKNOWN_KEY: Standing.OTHER_KEY,
    Verdict.BAD: Standing.BAD_SIGNATURE,
}
