"""What is wrong with a node as seen from here: said once, and shown in the lists until it is over.

Owns the words and when a trouble is certain; the kinds are ``node.py``'s. All are one-way silences: the node
answers, and yet what is written on it does not come here, or what is written here does not go there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import partial
from weakref import WeakKeyDictionary, WeakSet

from dmqcache.bus.bounded import Bounded
from dmqcache.bus.node import Node, Trouble
from dmqcache.bus.runtime import Runtime
from dmqcache.bus.sip.uri import NodeURI

log = logging.getLogger(__name__)

#: Seconds until a node is asked again whose list leaves us out, and after which it is certain that it does.
LOOK_AGAIN = 5.0
#: Seconds until it is asked again after that.
AGAIN = 30.0
#: Seconds after the last request from another address until that is over: Kamailio pings every 60 s.
ELSEWHERE_SECONDS = 180.0
#: Hosts remembered of which a warning was given: somebody may play many nodes on one.
MAX_SAID = 256


class Complaints:
    """What one node has against the others."""

    def __init__(self, runtime: Runtime, own: NodeURI, channel: str, ask: Callable[[Node], None]) -> None:
        """``own``: our address. ``channel``: that of the node list. ``ask``: send a node our list again."""
        self._runtime = runtime
        self._own = own
        self._channel = channel
        self._ask = ask
        #: Monotonic seconds since when a node leaves us out.
        self._unlisted: WeakKeyDictionary[Node, float] = WeakKeyDictionary()
        self._asking: WeakSet[Node] = WeakSet()
        #: Monotonic seconds when something last came from another address of a node.
        self._elsewhere: WeakKeyDictionary[Node, float] = WeakKeyDictionary()
        self._said: Bounded[tuple[str, Trouble], None] = Bounded(MAX_SAID)

    def refused(self, node: Node, status: int) -> None:
        """``node`` speaks SIP and answered our list with ``status``."""
        channel = self._channel
        self._complain(
            node,
            Trouble.REFUSES_LIST,
            f"answers {status} to node lists",
            'is  if(is_method("KDMQ")) { dmq_handle_message(); exit; }  the first line of its request_route, '
            f"and its notification_channel {channel!r}, as here?",
        )

    def answered(self, node: Node, listed: Iterable[NodeURI], is_own: Callable[[NodeURI], bool]) -> None:
        """``node`` answered our list; its own one has ``listed`` as active. None: no list came."""
        self._over(node, Trouble.REFUSES_LIST)
        self._over(node, Trouble.TLS_FAILS)
        uris = list(listed)
        if node.ours or not uris:
            return
        if any(map(is_own, uris)):
            self._unlisted.pop(node, None)
            self._over(node, Trouble.UNLISTED)
            return
        now = node.left_out_at = self._runtime.now()
        since = self._unlisted.setdefault(node, now)
        if node not in self._asking:
            self._asking.add(node)
            pause = LOOK_AGAIN if since == now else AGAIN
            self._runtime.call_later(pause, partial(self._look_again, node))
        if now - since >= LOOK_AGAIN:
            self._complain(
                node,
                Trouble.UNLISTED,
                "leaves this node out of its list: what is written there does not come here",
                f'add  modparam("dmq", "notification_address", "{self._own}")  there, so that it keeps this '
                "node; one that it holds inactive comes back with its next ping",
            )

    def told(self, node: Node, listed: Iterable[NodeURI], is_own: Callable[[NodeURI], bool]) -> None:
        """``node`` sends its list by itself, as a Kamailio does to one that it holds inactive too: with the
        answer that is over, but what was written there until now did not come here."""
        uris = list(listed)
        if uris and not node.ours and not any(map(is_own, uris)):
            node.left_out_at = self._runtime.now()

    def sends_from(self, node: Node, host: str) -> None:
        """A request in the name of ``node`` came from another host, or from another port of its own."""
        self._elsewhere[node] = self._runtime.now()
        option = f"--source-address {node.uri}={host.partition(' ')[0]}"
        self._complain(
            node,
            Trouble.SENDS_FROM_ELSEWHERE,
            f"sends from {host}: what is written there is refused here",
            f"if {host} is of that node, start this one with  {option}  or "
            f"have it send from {node.uri.host} (dmq's server_socket); else somebody forges its address",
        )

    def tls_fails(self, node: Node, why: str) -> None:
        """A TLS handshake with ``node`` failed, which is in the log already; ``why``: in words; empty: one
        succeeded."""
        if why:
            node.trouble[Trouble.TLS_FAILS] = f"TLS handshake: {why}"
        else:
            self._over(node, Trouble.TLS_FAILS)

    def keep_house(self) -> None:
        """Now and then: what has not happened for long is over."""
        now = self._runtime.now()
        for node, when in list(self._elsewhere.items()):
            if now - when >= ELSEWHERE_SECONDS:
                del self._elsewhere[node]
                self._over(node, Trouble.SENDS_FROM_ELSEWHERE)

    def _look_again(self, node: Node) -> None:
        self._asking.discard(node)
        if node in self._unlisted and node.active:
            # Its answer may be lost: then it is asked again all the same.
            self._asking.add(node)
            self._runtime.call_later(AGAIN, partial(self._look_again, node))
            self._ask(node)

    def _complain(self, node: Node, kind: Trouble, text: str, what_to_do: str) -> None:
        if node.trouble.get(kind) == text:
            return
        node.trouble[kind] = text
        key = (node.uri.host, kind)
        if key not in self._said:
            self._said[key] = None
            log.warning("node %s %s; %s", node.uri, text, what_to_do)

    def _over(self, node: Node, kind: Trouble) -> None:
        if node.trouble.pop(kind, None) is not None:
            self._said.pop((node.uri.host, kind), None)
            log.info("node %s: %s is over", node.uri, kind.replace("_", " "))
