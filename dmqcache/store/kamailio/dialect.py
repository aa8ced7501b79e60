"""What the software of a node understands on the ``htable`` channel.

One constant for each dialect, the choice among them by what a node says of itself, and what was learnt of
nodes that say it wrongly. The bytes are made in ``wire_write.py``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from dmqcache.bus.node import NodeList
from dmqcache.bus.sip.uri import NodeURI

#: ``kamailio (6.2.0-dev1 (x86_64/linux))`` in User-Agent or Server: Kamailio's default, unless changed.
_KAMAILIO = re.compile(r"kamailio \((\d{1,3})\.(\d{1,3})[. )-]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Dialect:
    """What one kind of node can be sent."""

    name: str
    #: Whether sets and cells may carry ``last_modified``. Where not, it costs the whole action (400).
    last_modified: bool


#: 5.5 to 5.8, and whoever does not say what it is.
KAMAILIO5: Final = Dialect("kamailio5", False)
#: 6.0 and 6.1: strict as 5. (6.0.7 and 6.1.3 keep the time of a cell that replaces an integer or a shorter
#: string; earlier ones do not. So nobody is sent times in cells that it may hold: ``rounds.py``.)
KAMAILIO6: Final = Dialect("kamailio6", False)
#: From 6.2: knows ``last_modified`` and ignores unknown fields.
KAMAILIO62: Final = Dialect("kamailio62", True)


#: Bytes of a whole message that is received: below ``msg_recv_max_size``, which is 32,767 by default from 5.8
#: on and did not exist before. A longer one is dropped unanswered; over TCP the connection is closed.
RECEIVED_BYTES: Final = 32_766
RECEIVED_BYTES_BEFORE_58: Final = 65_000


def message_bytes_of(user_agent: str) -> int:
    """How long a message a node receives, by its ``User-Agent`` or ``Server`` text; strangers: the least."""
    found = _KAMAILIO.match(user_agent)
    if found is not None and (int(found[1]), int(found[2])) < (5, 8):
        return RECEIVED_BYTES_BEFORE_58
    return RECEIVED_BYTES


def dialect_of(user_agent: str) -> Dialect:
    """The dialect of a node by its ``User-Agent`` or ``Server`` text.

    Strangers, Kamailio nodes with that header switched off among them, count as Kamailio 5: that is
    understood by all.
    """
    found = _KAMAILIO.match(user_agent)
    if found is None:
        return KAMAILIO5
    version = int(found[1]), int(found[2])
    if version >= (6, 2):
        return KAMAILIO62
    return KAMAILIO6 if version >= (6, 0) else KAMAILIO5


def stricter(dialect: Dialect) -> Dialect:
    """What to speak to a node that answered 400 to a message in ``dialect``: an early 6.2, or a node that
    does not say its true version."""
    return KAMAILIO6 if dialect is KAMAILIO62 else KAMAILIO5


class Dialects:
    """The dialect of each node."""

    def __init__(self, nodes: NodeList) -> None:
        self._nodes = nodes
        #: Of nodes that answered 400.
        self._learnt: dict[NodeURI, Dialect] = {}

    def of(self, node: NodeURI) -> Dialect:
        """What this node understands."""
        learnt = self._learnt.get(node)
        if learnt is not None:
            return learnt
        return dialect_of(self._user_agent(node))

    def message_bytes(self, node: NodeURI) -> int:
        """How long a message this node receives, unless its operator has changed that."""
        return message_bytes_of(self._user_agent(node))

    def _user_agent(self, node: NodeURI) -> str:
        known = self._nodes.get(node)
        return known.user_agent if known is not None else ""

    def refused(self, node: NodeURI) -> bool:
        """The node answered 400. Returns whether less can be said to it from now on."""
        dialect = self.of(node)
        strict = stricter(dialect)
        if dialect == strict:
            return False
        self._learnt[node] = strict
        return True

    def forget(self, node: NodeURI) -> None:
        """The node came (back), it may be another version now; or it is gone for good."""
        self._learnt.pop(node, None)
