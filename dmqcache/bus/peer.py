"""All that the author of a peer must read: what a peer is given and what it gives back.

A peer is one consumer on the bus, known by its channel name (the user part of the request's URI). A file
with one subclass of :class:`Peer` is a whole plug-in: it is loaded by ``module:Class``. Who sends, retries,
orders and counts is the bus's business (``bus.py``); who is there, the notification channel's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from dmqcache.bus.node import Node
from dmqcache.bus.runtime import Runtime
from dmqcache.bus.sip.uri import Endpoint, NodeURI


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A KDMQ request as a peer's handler gets it."""

    channel: str
    #: The body's bytes, as they came.
    body: bytes
    content_type: str
    #: The sending node, from the From header: host, port and transport.
    sender: NodeURI
    #: Where the bytes really came from.
    source: Endpoint
    #: The sender as the bus knows it, or None: nobody vouches for a stranger.
    node: Node | None
    #: Hops that gossip may still travel (the header's value, 0 where it is missing).
    max_forwards: int
    #: The sender's ``User-Agent`` or an empty text.
    user_agent: str
    #: Option tags of the sender's ``Supported`` header.
    supported: frozenset[str]
    #: What the sender calls the request (RFC 3261 8.1.1.4).
    call_id: str = ""
    #: It came in an unsigned datagram, so that its source may be forged: what would do much harm is asked of
    #: the sender before it is done.
    forgeable: bool = False


#: The status of a :class:`Reply` that is not sent: a copy of the request is handled as if it were the first.
SILENCE = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """What a handler answers. The reason phrase is RFC 3261's where it is left empty."""

    status: int = 200
    reason: str = ""
    #: Left out towards Kamailio nodes, and nodes that are not known yet: ``dmq_send_message()`` of a
    #: Kamailio's script reads every body as a list of nodes, and a 5.6.3 hangs on it. Tell it by a message.
    body: bytes = b""
    content_type: str = "text/plain"


class Later:
    """A reply that is still to come, from a handler that waits for something and needs no coroutine for that:
    it returns one of these and calls :meth:`give` once. Meanwhile later messages are handled."""

    __slots__ = ("_reply", "_then")

    def __init__(self) -> None:
        self._reply: Reply | None = None
        self._then: Callable[[Reply], None] | None = None

    def give(self, reply: Reply) -> None:
        """This is the reply. A second one is ignored."""
        if self._reply is None:
            self._reply = reply
            if self._then is not None:
                self._then(reply)

    def then(self, callback: Callable[[Reply], None]) -> None:
        """Call ``callback`` with the reply: the bus does."""
        self._then = callback
        if self._reply is not None:
            callback(self._reply)


@dataclass(frozen=True, slots=True)
class Response:
    """The final answer to a message that we sent, as ``on_response`` gets it."""

    #: 200 handled, 202 no handler there, 400 body not understood, 404 no such channel, 500 the peer failed.
    #: Made here when nobody answered: 408 after the transaction's time, 503 when it could not be sent.
    status: int
    node: NodeURI
    body: bytes = b""
    content_type: str = ""
    #: True for a 408 or 503 that was made here.
    local: bool = False
    #: Seconds from the send that was answered to the answer; None where nobody can tell which send that was
    #: (retransmitted, and not ``fast``).
    rtt: float | None = None
    #: How often the request was sent again.
    retransmissions: int = 0


#: Called once with the final answer of each message.
OnResponse = Callable[[Response], None]


class Sending(Protocol):
    """A message on its way."""

    def cancel(self) -> None:
        """Stop retransmitting; ``on_response`` is not called any more."""


class PeerBus(Protocol):
    """The bus as a peer sees it."""

    def send_message(
        self,
        peer: Peer,
        body: bytes,
        node: NodeURI | str,
        *,
        content_type: str = "text/plain",
        on_response: OnResponse | None = None,
        max_forwards: int = 1,
        timeout: float | None = None,
        fast: bool = False,
        repeat: bool = True,
        on_late: Callable[[], None] | None = None,
    ) -> Sending:
        """Send ``body`` to the same channel of one node, ``"sip:host:port"`` or its :class:`NodeURI`.
        ``on_response`` is never called from inside this. URIError for what is no address of a node.

        ``timeout``: seconds until a local 408 (default: the transaction's, 32 s). ``fast``: retransmit by
        the node's measured round trip instead of T1; only for nodes that are known to absorb it. ``repeat``:
        False sends once, for a caller that brings its own repetition. ``on_late``: called for each answer
        that comes when all this is over (cancelled, too, or answered before): a copy was handled only now.
        """

    def bcast_message(
        self,
        peer: Peer,
        body: bytes,
        *,
        exclude: NodeURI | str | None = None,
        content_type: str = "text/plain",
        on_response: OnResponse | None = None,
        max_forwards: int = 1,
    ) -> int:
        """Send ``body`` to every active node but ``exclude``; returns to how many. One that cannot be sent
        to gets a local 503 and disturbs no other."""


@dataclass(slots=True)
class Peer:
    """A consumer on the bus. Subclass it, name the channel, write :meth:`handle`; the rest is optional.

    Callbacks run one at a time on the node's loop, after the step that caused them: they may send, add or
    remove nodes. An exception from one is logged and counted, and becomes a 500 where an answer is due.
    """

    #: Option tags (RFC 3261 19.2) that all messages of a node with this peer show in ``Supported``.
    option_tags: ClassVar[tuple[str, ...]] = ()

    channel: str
    #: On a bus with a key: whether only nodes that hold it may speak on this channel, and not the Kamailio
    #: nodes that are listed (``--kamailio``) and sign nothing.
    key_holders_only: bool = field(default=False, init=False)
    #: Set by ``register_peer``; None before, when none of the methods below is called. It is typed as they
    #: see it, so that a peer's author need not ask each time.
    bus: PeerBus = field(default=None, init=False)  # type: ignore[assignment]
    #: Clocks and timers; as ``bus``.
    runtime: Runtime = field(default=None, init=False)  # type: ignore[assignment]

    def handle(self, message: Message) -> Reply | Awaitable[Reply] | Later:
        """Answer one message. May be a plain method or a coroutine. Messages of one node on this channel
        come one after the other, in the order in which they arrived. A coroutine that takes longer than 32 s
        is cancelled: its sender has given up."""
        return Reply(202)

    def on_init(self) -> None:
        """Once, when the first other node has answered or called: the time to ask for state."""

    def on_node_up(self, node: Node) -> None:
        """``node`` answers: it is new, or it is back."""

    def on_node_down(self, node: Node) -> None:
        """``node`` stopped answering."""

    def on_node_left(self, node: Node) -> None:
        """``node`` said goodbye, or was removed from the list."""

    def on_stop(self) -> None:
        """Once, when this node has left the bus: nothing can be sent any more, and nothing comes."""
