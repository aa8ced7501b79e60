"""Which of two states of one key wins: one pure function, the same on every node.

The order is total over everything that a state holds, so that merging is commutative, associative and
idempotent: whatever the network does to the order of messages, nodes that have seen the same states agree.

1. The greater ``stamp``, its version (``clock.py``).
2. At the same stamp a delete wins over a value: what was deleted does not come back.
3. Then a counter over a plain value, and the longer time to live: so a cell that has expired, of which only
   that is remembered, still compares with its rivals. Of equal times to live it settles nothing: what is not
   over yet soon will be. A Kamailio's word, where it keeps no times, is worth less than any.
4. Then the content: a version given by its writer over one given on arrival, a string over an integer, the
   greater value.
5. Two counters of one stamp do not compete: of each process's share the later counts (``counts.py``), and the
   base is the greater by rules 3 and 4.
"""

from __future__ import annotations

from enum import IntEnum

import msgspec

from dmqcache.store.table.cell import EXPIRED, NEVER, PROVISIONAL, UNTIMED
from dmqcache.store.table.counts import Share, merge_shares


class State(msgspec.Struct, gc=False, frozen=True):
    """What two nodes may hold differently of one key."""

    stamp: int
    #: None: deleted or, with the flag EXPIRED, over. Of a counter: its base.
    value: str | int | None
    ttl: int = 0
    flags: int = 0
    #: A counter's shares by node, else None.
    shares: dict[str, Share] | None = None


class Verdict(IntEnum):
    """How a state that came compares with the one that is held."""

    SAME = 0
    NEWER = 1
    OLDER = 2
    #: Both are counters of one base: the result holds parts of both.
    MERGED = 3


def _rank(state: State) -> tuple[int, int, int, float, int, int, int, str]:
    value = state.value
    return (
        state.stamp,
        value is None and not state.flags & EXPIRED,
        state.shares is not None,
        -1 if state.flags & UNTIMED else state.ttl or NEVER,
        not state.flags & PROVISIONAL,
        isinstance(value, str),
        value if isinstance(value, int) else 0,
        value if isinstance(value, str) else "",
    )


def _count_together(one: State, other: State) -> bool:
    return one.shares is not None and other.shares is not None and one.stamp == other.stamp


def _merge_counters(held: State, came: State) -> tuple[Verdict, State]:
    """The greater base, and of each process's share the later."""
    assert held.shares is not None and came.shares is not None
    shares = merge_shares(held.shares, came.shares)
    best = max(held, came, key=lambda state: _rank(state)[4:])
    state = State(held.stamp, best.value, max(held.ttl, came.ttl), held.flags & came.flags, shares)
    is_held = shares == held.shares and state.value == held.value
    is_came = shares == came.shares and state.value == came.value
    if is_came:
        return (Verdict.SAME if is_held else Verdict.NEWER), state
    return (Verdict.OLDER if is_held else Verdict.MERGED), state


def _one_has_expired(one: State, other: State) -> bool:
    """Whether one of two rivals of one version has expired and the other has as long to live."""
    return (
        bool((one.flags ^ other.flags) & EXPIRED)
        and (one.value is None) != (other.value is None)
        and one.stamp == other.stamp
        and one.ttl == other.ttl
        and not (one.shares or other.shares)
    )


def merge(held: State | None, came: State) -> tuple[Verdict, State]:
    """The state that both nodes keep, and how what came compares with what is held."""
    if held is None:
        return Verdict.NEWER, came
    if _count_together(held, came):
        return _merge_counters(held, came)
    if _one_has_expired(held, came):
        return Verdict.SAME, held
    mine, theirs = _rank(held), _rank(came)
    if mine == theirs:
        return Verdict.SAME, held
    return (Verdict.NEWER, came) if theirs > mine else (Verdict.OLDER, held)
