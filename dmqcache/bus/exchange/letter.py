"""One message of ours to one node, and the handle by which its sender may give it up.

Owns what is to be sent and who waits for the answer. Building the request is ``outgoing.py``'s business,
repeating it ``transaction.py``'s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dmqcache.bus.exchange.late_answers import OnLate
from dmqcache.bus.exchange.transaction import ClientTransaction
from dmqcache.bus.peer import OnResponse, Response
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.bus.timers import TIMEOUT


@dataclass(frozen=True, slots=True)
class Letter:
    """What goes to one node."""

    channel: str
    node: NodeURI
    body: bytes
    content_type: str = "text/plain"
    max_forwards: int = 1
    timeout: float = TIMEOUT
    #: Repeat by the node's measured round trip.
    fast: bool = False
    #: False: send once.
    repeat: bool = True


class Posted:
    """A letter on its way: the :class:`~dmqcache.bus.peer.Sending` that a peer holds."""

    __slots__ = ("_ended", "_on_response", "_transaction", "letter", "on_late")

    def __init__(self, letter: Letter, on_response: OnResponse | None, on_late: OnLate | None = None) -> None:
        self.letter = letter
        #: Who is told of an answer that comes when it is over.
        self.on_late = on_late
        self._on_response = on_response
        self._transaction: ClientTransaction | None = None
        self._ended = False

    @property
    def ended(self) -> bool:
        """Whether it was cancelled or answered."""
        return self._ended

    def cancel(self) -> None:
        """See :class:`~dmqcache.bus.peer.Sending`."""
        self._ended = True
        self._on_response = None
        if self._transaction is not None:
            self._transaction.cancel()
            self._transaction = None

    def under_way(self, transaction: ClientTransaction) -> None:
        """It was sent."""
        self._transaction = transaction

    def end(self, response: Response) -> None:
        """Give the final answer to whoever waits for it. What that raises, this raises."""
        self._ended = True
        self._transaction = None
        on_response, self._on_response = self._on_response, None
        if on_response is not None:
            on_response(response)


#: Sends a letter; the callback gets the final answer, and never from inside the call.
Post = Callable[[Letter, OnResponse], Posted]
