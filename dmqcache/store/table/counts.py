"""The parts of a counter: where it began, and what each process of each node has added to it.

A share is named ``address#process``. Only its process adds to it, each time with a later version, so of two
copies the later is the whole truth: merging takes it, in any order and as often as one likes.

So that rows stay small, shares of processes that have ended are folded, in two ways:

- A process adds those of its forerunners at its own address to its share, and gives it a ``line``: all shares
  of this address with an older version are in it, and void wherever they turn up.
- Shares that nobody has touched for very long are added up under the empty name, whose version does the same
  for all addresses.

One share is nobody's and holds nothing: under its name any node gives a counter a later version, which a
Kamailio 6.2 must be shown. Were that done with a share of one's own, each start of a node would leave one.

What is void is decided by versions alone, alike on all nodes. When to fold is each node's own decision; no
two may fold the same share, so where many are old a process leaves alone those of its own. Nothing is lost
as long as no node comes back that was away for longer than the span, and no node starts too often within it.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Annotated, Final

import msgspec

from dmqcache.store.table.clock import MAX_STAMP, version_at

#: Redis' integers; Kamailio's own end at 31 bits, which its dialect sees to.
MAX_INTEGER: Final = (1 << 63) - 1
#: Between an address and what tells its processes.
SEPARATOR: Final = "#"
#: The name of what was added up of all addresses.
RETIRED: Final = ""
#: The name of the share that holds nothing but a version. No process's: it has no address.
DATED: Final = SEPARATOR
#: Forerunners of a process that keep their shares, when more of them ran within the span; and how many there
#: may be when one is so old that it should be left alone: with their successor that is about 600 bytes.
KEPT, MOST_KEPT = 6, 10
#: Spans after which a share is left alone by its own node, and after which any node may retire it.
#: Between them lies as much time as a node may be away.
OWN_SPANS, RETIRE_SPANS = 2, 3
#: Seconds; a shorter span leaves clocks and messages no room.
LEAST_SPAN_S: Final = 60.0
#: Old shares that a row keeps all the same: of nodes that count seldom, or are cut off for long. And how few
#: of them there are where it is sure that no node retires any.
MOST_OLD, FEW_OLD = 8, 4
#: Shares of one counter; a process beyond that may not count in it. About 13 kB.
MAX_SHARES: Final = 256
#: Shares that may come: several halves of a cluster that did not hear of each other.
MAX_SHARES_HEARD: Final = 1024
#: Characters of a share's name: a host's 255, and the rest.
MAX_NAME: Final = 300
#: A look at what may be folded is taken when these bits of the version change: every 65 s at most.
_LOOK_SHIFT: Final = 32

_Integer = Annotated[int, msgspec.Meta(ge=-MAX_INTEGER - 1, le=MAX_INTEGER)]
_Version = Annotated[int, msgspec.Meta(ge=0, le=MAX_STAMP)]


class Share(msgspec.Struct, array_like=True, gc=False, frozen=True, order=True):
    """What one process has added to a counter. The later of two copies is the greater."""

    #: The version of the last time.
    stamp: _Version
    total: _Integer
    #: Shares of the same address with a version below this one are part of the total.
    line: _Version = 0


Shares = dict[str, Share]


def fits(number: int) -> bool:
    """Whether it is an integer of 64 bits."""
    return -MAX_INTEGER - 1 <= number <= MAX_INTEGER


def saturated(number: int) -> int:
    """The nearest integer of 64 bits."""
    return max(-MAX_INTEGER - 1, min(MAX_INTEGER, number))


def scope_of(name: str) -> str:
    """The address in a share's name."""
    return name.partition(SEPARATOR)[0]


class Counts(msgspec.Struct, gc=False):
    """A counter's parts: where it began, and the shares."""

    base: int
    shares: Shares

    def exact(self) -> int:
        """The sum, which simultaneous increments may have brought beyond 64 bits."""
        return self.base + sum(share.total for share in self.shares.values())

    def total(self) -> int:
        """The sum as it is shown: it stops at the ends of 64 bits."""
        return saturated(self.exact())

    def date(self, version: int) -> None:
        """Give the counter a later version, and add nothing."""
        self.shares = {**self.shares, DATED: Share(version, 0)}

    def touched(self) -> int:
        """The version of the last increment that we know of, or a later one that the counter was given."""
        return max((share.stamp for share in self.shares.values()), default=0)


def dated(shares: Shares, limit: int, anew: Callable[[int], int]) -> Shares:
    """The shares with versions above ``limit`` brought down to what ``anew`` says of them."""
    return {
        name: share if share.stamp <= limit else _dated(share, anew(share.stamp))
        for name, share in shares.items()
    }


def _dated(share: Share, version: int) -> Share:
    return Share(version, share.total, min(share.line, version))


def without_void(shares: Shares) -> Shares:
    """The shares that count: without those that are part of another one, and without lines below a higher."""
    retired = shares.get(RETIRED)
    oldest = retired.stamp if retired is not None else 0
    lines: dict[str, int] = {}
    for name, share in shares.items():
        if share.line and name:
            scope = scope_of(name)
            lines[scope] = max(lines.get(scope, 0), share.line)
    if not oldest and not lines:
        return shares
    left: Shares = {}
    for name, share in shares.items():
        line = max(oldest, lines.get(scope_of(name), 0)) if name else 0
        if share.stamp < line:
            continue
        if name and share.line and (share.line < line or share.line == oldest):
            share = Share(share.stamp, share.total)
        left[name] = share
    return left


def merge_shares(held: Shares, came: Shares) -> Shares:
    """The later copy of each share, and the highest line, without what is void."""
    merged = dict(held)
    for name, share in came.items():
        mine = merged.get(name)
        merged[name] = share if mine is None else _later(mine, share)
    return without_void(merged)


def _later(one: Share, other: Share) -> Share:
    later = max(one, other)
    line = max(one.line, other.line)
    return later if later.line == line else Share(later.stamp, later.total, line)


class Counter:
    """How one process adds to counters: under which name, and what it folds."""

    def __init__(self, identity: str, now: Callable[[], float]) -> None:
        """``identity``: ``address#process``, no other process's; ``now``: monotonic seconds."""
        self.identity = identity
        self._now = now
        self._born = now()

    def owns(self, name: str) -> bool:
        """Whether a share of this name is this process's."""
        return name == self.identity or name.startswith(f"{self.identity}.")

    def contested(self, held: Shares, came: Shares) -> list[str]:
        """Shares of this process of which somebody claims to know more than it does itself."""
        mine = [name for name in came if name in held and self.owns(name)]
        return [name for name in mine if came[name] > held[name]]

    def insist(self, held: Shares, merged: Shares, span_s: float) -> Shares:
        """What two nodes know together, with this process's shares even where others took them for void: in a
        share that is not old nobody has folded what we know. The same object if nothing of ours was void."""
        newest = max((share.stamp for share in merged.values()), default=0)
        oldest = newest - OWN_SPANS * version_at(int(max(span_s, LEAST_SPAN_S) * 1000))
        mine = {
            name: Share(newest + 1, share.total, share.line)
            for name, share in held.items()
            if name not in merged and self.owns(name) and share.stamp >= oldest
        }
        return {**merged, **mine} if mine else merged

    def add(self, counts: Counts, by: int, version: int, span_s: float) -> None:
        """Add to this process's share at a version above all that the counter has had. ``span_s``: seconds
        that a node may be away. ValueError, and nothing is changed, if too many count in it."""
        shares = counts.shares
        mine = shares.get(self.identity)
        if mine is not None and mine.stamp >> _LOOK_SHIFT == version >> _LOOK_SHIFT and fits(mine.total + by):
            shares[self.identity] = Share(version, mine.total + by, mine.line)
            return
        span_s = max(span_s, LEAST_SPAN_S)
        span = version_at(int(span_s * 1000))
        name = self._name(shares, by, version - OWN_SPANS * span)
        mine = shares.get(name)
        if mine is not None:
            shares[name] = Share(version, mine.total + by, mine.line)
            if mine.stamp >> _LOOK_SHIFT == version >> _LOOK_SHIFT:
                return
        else:
            if len(shares) >= MAX_SHARES:
                shares = _retire(shares, name, version - RETIRE_SPANS * span)
                if len(shares) >= MAX_SHARES:
                    raise ValueError(f"{MAX_SHARES} processes have counted here lately: set the key anew")
            shares = {**shares, name: Share(version, by)}
        whole = self._now() - self._born > span_s
        shares = self._fold(shares, name, version - OWN_SPANS * span, whole)
        counts.shares = _retire(shares, name, version - RETIRE_SPANS * span)

    def _name(self, shares: Shares, by: int, oldest: int) -> str:
        """This process's share; another one where that is to be left alone, or its total would not fit."""
        for number in count():
            name = f"{self.identity}.{number}" if number else self.identity
            share = shares.get(name)
            if share is None:
                return name
            if fits(share.total + by) and (share.stamp >= oldest or not _are_many(shares, oldest)):
                return name
        raise AssertionError("count() ends")

    @staticmethod
    def _fold(shares: Shares, name: str, oldest: int, whole: bool) -> Shares:
        """Take the forerunners' shares into our own: all of them (``whole``) once this process is as old as a
        node may be away, so that no increment of theirs is unheard of; else those beyond a few."""
        own, scope = shares[name], scope_of(name)
        former = sorted((share.stamp, key) for key, share in shares.items() if scope_of(key) == scope)
        former = [(stamp, key) for stamp, key in former if key and key != name]
        number = len(former) if whole else len(former) - KEPT
        if number <= 0 or (former[0][0] < oldest and _are_many(shares, oldest) and len(former) <= MOST_KEPT):
            return shares
        newest = former[number - 1][0]
        folded = [key for stamp, key in former if stamp <= newest]
        total = own.total + sum(shares[key].total for key in folded)
        if not fits(total):
            return shares
        # As high as it may be: what nobody here has heard of is left out rather than counted twice.
        line = min((stamp for stamp, _ in former if stamp > newest), default=own.stamp)
        kept = {key: share for key, share in shares.items() if key not in folded}
        return without_void({**kept, name: Share(own.stamp, total, max(own.line, line))})


def _are_many(shares: Shares, oldest: int) -> bool:
    """Whether so many shares are old that some node may be about to retire them."""
    return sum(share.stamp < oldest for share in shares.values()) > FEW_OLD


def _retire(shares: Shares, name: str, oldest: int) -> Shares:
    """Add up the shares that nobody touched since the version ``oldest``, but for the latest few of them, and
    never the one of this name."""
    old = sorted(
        (share.stamp, key) for key, share in shares.items() if key and key != name and share.stamp < oldest
    )
    if len(old) <= MOST_OLD:
        return shares
    line = old[-MOST_OLD - 1][0] + 1
    gone = [key for stamp, key in old if stamp < line]
    before = shares.get(RETIRED, Share(0, 0))
    total = before.total + sum(shares[key].total for key in gone)
    if not fits(total):
        return shares
    kept = {key: share for key, share in shares.items() if key not in gone}
    return without_void({**kept, RETIRED: Share(line, total, line)})
