"""Messages of ours on their way: from a peer's ``send_message`` to the final answer.

Owns building the request, finding the address, and turning a transaction's end into the peer's
:class:`~dmqcache.bus.peer.Response`. Repetition is ``transaction.py``'s; what an answer says of the node is
told to ``nodes/directory.py``.
"""

from __future__ import annotations

import logging

from dmqcache.bus.bus_counters import BusCounters
from dmqcache.bus.exchange.late_answers import OnLate
from dmqcache.bus.exchange.letter import Letter, Posted
from dmqcache.bus.exchange.transaction import SEND_PARAM, ClientTransactions, Outcome, Plan
from dmqcache.bus.identity import METHOD, Identity, fits
from dmqcache.bus.node import Node
from dmqcache.bus.nodes.directory import Directory
from dmqcache.bus.peer import OnResponse, Response
from dmqcache.bus.runtime import Runtime
from dmqcache.bus.sip.serialize import Author, Draft, build_request
from dmqcache.bus.sip.uri import TRANSPORTS, Endpoint
from dmqcache.bus.trust.guard import Guard
from dmqcache.bus.trust.signature import HEADER, Signature

log = logging.getLogger(__name__)

#: How often one letter is sent because who gets it told us a new token: when it is met, and once more should
#: it start anew meanwhile.
MAX_SENDS = 3


class Outgoing:
    """Everything that this node sends on its own account."""

    def __init__(
        self,
        identity: Identity,
        runtime: Runtime,
        transactions: ClientTransactions,
        directory: Directory,
        counters: BusCounters,
        guard: Guard,
    ) -> None:
        """``directory`` hears how each letter to a listed node ended; ``guard`` signs."""
        self._guard = guard
        self._runtime = runtime
        self._transactions = transactions
        self._directory = directory
        self._counters = counters
        self._count = 0
        self.speak_as(identity)

    def speak_as(self, identity: Identity) -> None:
        """Say this of ourselves in each request from now on."""
        self._identity = identity
        self._authors = {transport: identity.author(transport) for transport in TRANSPORTS}

    def post(
        self, letter: Letter, on_response: OnResponse | None = None, on_late: OnLate | None = None
    ) -> Posted:
        """Send a letter. ``on_response`` is called once, and never from inside this call; ``on_late`` for
        each answer that comes when the letter is over."""
        posted = Posted(letter, on_response, on_late)
        if self._directory.membership.is_own(letter.node):
            self._refuse(posted, "to_self")
            return posted
        node = self._directory.nodes.get(letter.node)
        if node is not None and node.endpoint is not None:
            self._start(posted, node, node.endpoint)
        else:
            self._directory.addresses.find(letter.node, lambda endpoints: self._found(posted, endpoints))
        return posted

    def _found(self, posted: Posted, endpoints: list[Endpoint]) -> None:
        if posted.ended:
            return
        if endpoints:
            self._start(posted, self._directory.nodes.get(posted.letter.node), endpoints[0])
        else:
            self._refuse(posted, "unresolved")

    def _start(self, posted: Posted, node: Node | None, endpoint: Endpoint, sends: int = 1) -> None:
        letter = posted.letter
        branch = self._transactions.next_branch()
        data, seal = self._build(letter, branch, node, endpoint)
        if not fits(len(data), endpoint.transport):
            self._refuse(posted, "datagram_too_large" if endpoint.transport == "udp" else "message_too_large")
            return
        rto = node.rtt.rto(self._transactions.t1) if letter.fast and node is not None else None
        if letter.fast and rto is None:
            rto = self._transactions.t1
        plan = Plan(letter.timeout, rto, letter.repeat)
        self._counters.messages[letter.channel, "out", "request"] += 1
        posted.under_way(
            self._transactions.start(
                data,
                branch,
                endpoint,
                letter.channel,
                plan,
                lambda outcome: self._answered(posted, endpoint, sends, outcome),
                seal,
                None if posted.on_late is None else lambda: self._came_late(posted),
            )
        )

    def _answered(self, posted: Posted, endpoint: Endpoint, sends: int, outcome: Outcome) -> None:
        """A 401 tells the token that is to be shown: the same letter goes again with it."""
        if (
            outcome.status == 401
            and self._guard.signer is not None
            and sends < MAX_SENDS
            and not posted.ended
        ):
            self._counters.messages[posted.letter.channel, "in", "401"] += 1
            self._start(posted, self._directory.nodes.get(posted.letter.node), endpoint, sends + 1)
        else:
            self._ended(posted, outcome)

    def _build(
        self, letter: Letter, branch: str, node: Node | None, endpoint: Endpoint
    ) -> tuple[bytes, Signature | None]:
        identity, uri = self._identity, letter.node.with_user(letter.channel)
        self._count += 1
        draft = Draft(
            METHOD,
            uri,
            identity.uri.with_user(letter.channel),
            uri,
            letter.node.transport,
            f"{branch};{SEND_PARAM}=0" if letter.fast else branch,
            f"{identity.call_id_prefix}{self._count:x}",
            self._guard.number(endpoint, self._count),
            letter.max_forwards,
            letter.content_type,
            letter.body,
        )
        author = self._authors[letter.node.transport]
        known = node is not None and node.confirmed and letter.channel != self._directory.notification.channel
        # A Kamailio looks at no signature. Its pings have one, should it be a node of ours some day.
        seal = self._guard.sign(author, draft, endpoint, to_signers=known)
        if seal is not None:
            sent_by, tag, agent, extra = author
            author = Author(sent_by, tag, agent, (*extra, (HEADER, str(seal))))
        return build_request(author, draft), seal

    def _refuse(self, posted: Posted, reason: str) -> None:
        """End with a local 503 on a later turn."""
        self._counters.drops[reason] += 1
        response = Response(503, posted.letter.node, local=True)
        self._runtime.call_later(0.0, lambda: self._tell(posted, response))

    def _ended(self, posted: Posted, outcome: Outcome) -> None:
        letter, answer = posted.letter, outcome.response
        channel = letter.channel
        if answer is not None:
            self._counters.messages[channel, "in", str(outcome.status)] += 1
        elif outcome.status == 408:
            self._counters.timeouts[channel] += 1
        elif outcome.status == 503:
            self._counters.drops["undeliverable"] += 1
        node = self._directory.nodes.get(letter.node)
        if node is not None and not node.local:
            self._directory.answered(node, channel, outcome)
        response = Response(
            outcome.status,
            letter.node,
            answer.body if answer is not None else b"",
            answer.content_type if answer is not None else "",
            answer is None,
            outcome.rtt,
            outcome.retransmissions,
        )
        self._tell(posted, response)

    def _came_late(self, posted: Posted) -> None:
        assert posted.on_late is not None
        try:
            posted.on_late()
        except Exception:
            self._failed(posted, "on_late")

    def _failed(self, posted: Posted, what: str) -> None:
        self._counters.handler_errors[posted.letter.channel] += 1
        log.exception("%s of channel %s failed", what, posted.letter.channel)

    def _tell(self, posted: Posted, response: Response) -> None:
        if posted.ended:
            return
        try:
            posted.end(response)
        except Exception:
            self._failed(posted, "on_response")
