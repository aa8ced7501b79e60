"""Which registrars may have been restarted: what such a one lacks of its own, it need not have removed.

- One that asks for everything has just started, and one that comes up without having been lost may have. So
  has one whose Call-IDs say so (``Node.life``). That counts until it has shown what it has since.
- What it lacked then, and was told, it may never have got back: that counts until it says it again.
- Where no Call-ID tells that it was not restarted, who lacks more of its own than it still shows was, though
  it has asked nobody here. What it shows of others' proves nothing: it has that from them. What was its own
  until another showed a later refresh of it does.

Pure. Owns what is known of that. What a registrar shows and lacks, ``usrloc_healing.py`` finds out.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from dmqcache.bus.node import Node
from dmqcache.bus.sip.uri import NodeURI


class Restarts:
    """Who may have been restarted, of one peer's registrars."""

    def __init__(self) -> None:
        #: Who has asked for everything since it came up.
        self._anew: set[NodeURI] = set()
        #: Who may have been restarted, and when that was noticed, until a look has shown what it has since.
        self._unsure: dict[NodeURI, float] = {}
        #: Node -> what it lacked of its own and has not removed: it was told it, and has not said it since.
        self._doubtful: dict[NodeURI, set[str]] = {}
        #: Node that was lost or is looked at -> what was its own until another showed a later refresh of it.
        self._shown_by_others: dict[NodeURI, set[str]] = {}
        #: Node -> how often it was seen to have been restarted.
        self._lives: dict[NodeURI, int] = {}

    def noticed(self, node: Node) -> bool:
        """Whether it was seen to have been restarted since this was asked last."""
        before, self._lives[node.uri] = self._lives.get(node.uri, node.life.count), node.life.count
        return before != node.life.count

    def may_be(self, node: NodeURI, now: float) -> None:
        """What is known as its own, it may not have any more."""
        self._unsure[node] = now

    def asks(self, node: NodeURI) -> None:
        """It asks for everything."""
        self._anew.add(node)

    def is_anew(self, node: NodeURI) -> bool:
        """Whether it has asked for everything, and was told it."""
        return node in self._anew

    def says(self, node: NodeURI, key: str) -> None:
        """It has this contact."""
        if node in self._doubtful:
            self._doubtful[node].discard(key)

    def passes(self, node: NodeURI, key: str) -> None:
        """What was its own, another has shown refreshed."""
        self._shown_by_others.setdefault(node, set()).add(key)

    def was_its_own(self, node: NodeURI, key: str) -> bool:
        """Whether it was until another has shown it refreshed."""
        return key in self._shown_by_others.get(node, ())

    def doubtful(self, node: NodeURI) -> AbstractSet[str]:
        """What it may never have got back."""
        return self._doubtful.get(node, frozenset())

    def may_have_removed(self, node: Node, lacking: int, kept: int, since: float) -> bool:
        """Whether it may have removed what it lacks of its own, as it was not restarted, so far as is known.
        ``lacking``, ``kept``: how many those are, and how many it still shows that were known before;
        ``since``: when it was asked for them."""
        if node.uri in self._anew or node.uri in self._unsure:
            return False
        return node.life.told_at >= since or lacking <= kept

    # -- what ends ---------------------------------------------------------------------------------------

    def settled(self, node: NodeURI, doubtful: set[str], compared_at: float) -> None:
        """It has shown what it has; ``doubtful``: what it lacks of its own and has not removed."""
        if doubtful:
            self._doubtful[node] = doubtful
        else:
            self._doubtful.pop(node, None)
        if self._unsure.get(node, 0.0) < compared_at:
            self._unsure.pop(node, None)

    def told(self, node: NodeURI) -> None:
        """It has been told everything, as it asked."""
        self._anew.discard(node)

    def looked(self, node: NodeURI) -> None:
        """It is looked at no more."""
        self._shown_by_others.pop(node, None)

    def down(self, node: NodeURI) -> None:
        """It is lost."""
        self._anew.discard(node)

    def left(self, node: NodeURI) -> None:
        """It is forgotten."""
        self._anew.discard(node)
        for kept in (self._unsure, self._doubtful, self._shown_by_others, self._lives):
            kept.pop(node, None)
