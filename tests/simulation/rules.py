"""What is promised in one run, as its scenario is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rules:
    """What is promised in one run."""

    #: Seconds by which times to live may differ.
    slack: float = 8.0
    #: Clocks are kept: the newest write wins. If not, it is still known what was written at all, that
    #: increments are not lost where nobody sets, and that no node has nothing of what it should have.
    sane: bool = True
    #: Deletes that are remembered at most.
    tombstone_limit: int = 100_000
    #: Kamailio nodes are there: what no dmqcache node remembers they give back, with a version of its own.
    kamailios: bool = False
    #: The network doubles messages, and a Kamailio does again what a late copy says.
    doubled: bool = False
    #: All clocks are ahead at first and are set right at once.
    set_back: bool = False
