"""When registrars are asked once more what they hold, beyond the one time when they come up.

- A registrar was there all the time, and yet what is written there did not come here: it held this node
  inactive, and its list left this node out. When it lists it again, or has been restarted, all are asked:
  others have heard what this node has not.
- This process stood still (it was stopped, its machine was moved): all are asked, when it goes on.
- A registrar was restarted without being missed: it is asked, when anything comes from it.
- Two registrars did not hear each other. They find each other by pings, every 60 s, a dmqcache node sooner:
  so some time after any node has come back all are asked once more. So they are after this node itself has
  begun: registrars may still hold it inactive, as they did not reach the one before it.

Owns the moments. What is looked at then, and what follows, is ``usrloc_healing.py``'s.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from dmqcache.bus.node import Node, Trouble
from dmqcache.bus.runtime import Runtime
from dmqcache.bus.sip.uri import NodeURI

#: Seconds between two looks at the clock and the lists.
TICK_S: Final = 5.0
#: Seconds by which a tick is late when this process stood still. What it missed in less, it is told again.
STOOD_STILL_S: Final = 10.0
#: Seconds after a list that leaves this node out until the next shows whether it still does.
LISTED_S: Final = 6.0
#: Seconds in which registrars have found each other again, and over which dmqcache nodes spread their
#: questions.
PINGED_S: Final = 75.0
SPREAD_S: Final = 30.0
#: Seconds in which those come up that were there before this node.
GROWN_S: Final = 10.0
#: Seconds between a list and what follows from it at most.
STEP_S: Final = 1.0
#: ``look(node, missed)``: ask it once more. ``missed``: what was written there may not have come here.
Look = Callable[[Node, bool], None]


def leaves_out(node: Node, since: float) -> bool:
    """Whether a node has left this one out of its list since then, or when it came up just before."""
    return node.left_out_at is not None and node.left_out_at >= since - STEP_S


class Occasions:
    """The moments of one peer."""

    def __init__(self, look: Look, heard: Callable[[Node], None]) -> None:
        """``heard``: something has come from a node since the last tick, maybe."""
        self._look = look
        self._heard = heard
        self._up: dict[NodeURI, Node] = {}
        #: When each was asked last.
        self._asked: dict[NodeURI, float] = {}
        self._began: float | None = None
        self._ticking = False
        self._ticked = 0.0
        #: When the registrars are asked once more; None: nobody has come back. And whether that is as this
        #: node has begun.
        self._again_at: float | None = None
        self._begins = True
        #: Who had left this node out is gone before it was asked.
        self._missed = False

    def is_grown(self, runtime: Runtime) -> bool:
        """Whether this node has known the others for a while."""
        return self._began is not None and runtime.now() - self._began > GROWN_S

    def up(self, node: Node, runtime: Runtime) -> None:
        """A node has come up, and is being asked."""
        now = runtime.now()
        self._again_at = now + PINGED_S + SPREAD_S * runtime.random()
        if self._began is None:
            self._began = now
        self._up[node.uri] = node
        self._asked[node.uri] = now
        if not self._ticking:
            self._ticking, self._ticked = True, now
            runtime.call_later(TICK_S, lambda: self._tick(runtime))

    def down(self, node: Node) -> None:
        """A node is lost, or has left."""
        self._up.pop(node.uri, None)
        asked = self._asked.pop(node.uri, None)
        self._missed |= asked is not None and leaves_out(node, asked)

    def _tick(self, runtime: Runtime) -> None:
        now = runtime.now()
        stood_still = now - self._ticked >= TICK_S + STOOD_STILL_S
        again = self._again_at is not None and now >= self._again_at
        missed = (
            stood_still or self._missed or any(self._was_left_out(node, now) for node in self._up.values())
        )
        for node in list(self._up.values()):
            if missed or again:
                if Trouble.UNLISTED not in node.trouble:
                    self._asked[node.uri] = now
                self._look(node, missed or (again and self._begins))
        if again:
            self._again_at, self._begins = None, False
        for node in list(self._up.values()):
            self._heard(node)
        self._missed = False
        self._ticked = now
        self._ticking = bool(self._up)
        if self._ticking:
            runtime.call_later(TICK_S, lambda: self._tick(runtime))

    def _was_left_out(self, node: Node, now: float) -> bool:
        """Whether it has left this node out since it was asked, and does so no more."""
        when = node.left_out_at
        over = when is not None and now - when >= LISTED_S and Trouble.UNLISTED not in node.trouble
        return over and leaves_out(node, self._asked[node.uri])
