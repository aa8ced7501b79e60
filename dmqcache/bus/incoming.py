"""From bytes to a handler and back: what is done with each message that arrives.

Owns the first steps: bytes to a message, and which kind it is. From here the way leads down and not back:
a reply goes to its transaction (``exchange/transaction.py``); a request of the bus is told from a copy of
itself (``exchange/answers.py``) and given to its channel (``delivery.py``), whose handler answers through
``exchange/answers.py`` again.

=============================================  =================================================
what arrives                                   what it gets
=============================================  =================================================
no SIP, or a broken reply                      dropped, counted under ``MessageError.reason``
what the bus's key does not admit              dropped; see ``trust/guard.py``
a request that is broken, but has a Via        400, or 505 for another version of SIP; counted so too
a request that requires an extension           420 with Unsupported
a reply                                        ends its transaction, or ``late_reply``, ``stray_reply``
a reply from another host than was asked       dropped (``reply_from_elsewhere``)
ACK                                            dropped (``ack``): no reply exists for it
OPTIONS                                        200
another method                                 405 with Allow
a request of our own that came back            482; its address is ours (``own_message``)
From, To or Request-URI that cannot be read    400
a request that does not show our token         401, which tells it
From is our own address                        403 (``own_address_claimed``)
a channel that is not here                     404
a request that came before                     its reply again, or nothing while the handler runs
a KDMQ request                                 what the handler answers; 500 if it fails, 503 if full,
                                               513 (``reply_too_large``) if the answer cannot be sent
=============================================  =================================================
"""

from __future__ import annotations

import logging

from dmqcache.bus.bus_counters import BusCounters
from dmqcache.bus.delivery import Delivery
from dmqcache.bus.exchange.answers import Answers
from dmqcache.bus.exchange.transaction import ClientTransactions
from dmqcache.bus.identity import METHOD
from dmqcache.bus.nodes.directory import Directory
from dmqcache.bus.sip.sip_message import MessageError, SipRequest, SipResponse, parse_message
from dmqcache.bus.sip.uri import Endpoint
from dmqcache.bus.trust.guard import Guard
from dmqcache.bus.trust.signature import HEADER, Signature

log = logging.getLogger(__name__)

#: RFC 3261 20.5: what a 405 and the answer to OPTIONS say.
ALLOW = ("Allow", f"{METHOD}, OPTIONS")
#: RFC 3261 22.1: what a 401 says beside the signature that has the token.
CHALLENGE = ("WWW-Authenticate", HEADER)


class Incoming:
    """The receiving side of one node."""

    def __init__(
        self,
        own_call_ids: str,
        transactions: ClientTransactions,
        answers: Answers,
        delivery: Delivery,
        directory: Directory,
        counters: BusCounters,
        guard: Guard,
    ) -> None:
        """``own_call_ids``: how the Call-IDs of our own requests begin; ``guard`` says what counts."""
        self._guard = guard
        self._own_call_ids = own_call_ids
        self._transactions = transactions
        self._answers = answers
        self._delivery = delivery
        self._directory = directory
        self._counters = counters

    def receive(self, data: bytes, source: Endpoint) -> None:
        """Take one whole message. Never raises."""
        message = None
        try:
            message = parse_message(data, stream=source.transport != "udp")
            if isinstance(message, SipResponse):
                self._on_response(message, source)
            elif message.method == METHOD:
                self._on_kdmq(message, source)
            else:
                self._on_other_method(message, source)
        except MessageError as error:
            self._drop(error, source, error.request or message)
        except Exception:
            self._counters.drops["internal_error"] += 1
            log.exception("a message from %s could not be handled", source)

    def _drop(self, error: MessageError, source: Endpoint, request: object) -> None:
        self._counters.drops[error.reason] += 1
        log.debug("a message from %s is dropped: %s", source, error)
        if not isinstance(request, SipRequest) or request.method == "ACK":
            return
        if self._guard.admits_unsigned(source):
            self._answers.to_broken(request, source, 505 if error.reason == "bad_version" else 400)

    def _on_response(self, response: SipResponse, source: Endpoint) -> None:
        ended = self._transactions.on_response(response, source)
        ours = ended is None and self._transactions.is_ours(response.via.branch)
        if ours and self._guard.admits_unsigned(source):
            self._directory.heard(source)

    def _requires(self, request: SipRequest, source: Endpoint, seal: Signature | None = None) -> bool:
        """Whether a request was refused since it requires an extension (RFC 3261 8.2.2.3): there is none
        that we would have to be asked for by an option tag."""
        tags = request.headers.get_all("require")
        if tags:
            self._counters.drops["bad_extension"] += 1
            self._answers.plainly(request, source, 420, (("Unsupported", ", ".join(tags)),), seal)
        return bool(tags)

    def _on_other_method(self, request: SipRequest, source: Endpoint) -> None:
        if request.method == "ACK":
            self._counters.drops["ack"] += 1
        elif not self._guard.admits_unsigned(source):
            self._counters.drops["unsigned"] += 1
        elif request.method != "OPTIONS":
            request.check()
            self._counters.drops["method_not_allowed"] += 1
            self._answers.plainly(request, source, 405, (ALLOW,))
        elif not self._requires(request, source):
            request.check()
            self._answers.plainly(request, source, 200, (ALLOW,))

    def _on_kdmq(self, request: SipRequest, source: Endpoint) -> None:
        if request.call_id.startswith(self._own_call_ids):
            self._own_message(request)
            return
        passed = self._guard.admit(request, source)
        if passed is None:
            self._turn_away(request, source)
        elif passed.token_needed:
            self._answers.plainly(request, source, 401, (CHALLENGE,), passed.seal)
        elif not self._requires(request, source, passed.seal):
            due = self._answers.due(request, source, passed)
            if due is not None:
                self._delivery.deliver(due)

    def _turn_away(self, request: SipRequest, source: Endpoint) -> None:
        """Hardly ever with a word, and then with one that is smaller than the request."""
        refusal = self._guard.refusal()
        if refusal:
            self._answers.plainly(request, source, 403, ((HEADER, refusal),))

    def _own_message(self, request: SipRequest) -> None:
        """A request of ours came back: whoever we sent it to is ourselves under another address."""
        self._counters.drops["own_message"] += 1
        transaction = self._transactions.find(request.via.branch)
        if transaction is not None and self._directory.sent_to_ourselves(transaction.endpoint):
            transaction.end(482)
