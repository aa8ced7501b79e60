"""One question to a Kamailio for all that it has, and how far the answer is. Who asks: ``inquirer.py``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from dmqcache.bus.peer import Sending
from dmqcache.bus.sip.uri import NodeURI


@dataclass(slots=True)
class Inquiry:
    """One question to a Kamailio for all that it has."""

    node: NodeURI
    #: Take what comes without sending anything: the initial sync of this node.
    adopt: bool
    then: Callable[[bool], None]
    began: float
    began_ms: int
    heard: float
    #: Monotonic seconds when the question was put last.
    asked: float = 0.0
    answered: bool = False
    seen: dict[str, set[str]] = field(default_factory=dict)
    differences: int = 0
    #: Not all that differs could be named at once.
    cut_short: bool = False
    ended: bool = False
    sending: Sending | None = None
