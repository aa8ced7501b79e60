"""Which releases of Kamailio stand together in a cluster: the columns of the README's matrix.

`each_lineup` runs a test on all of them; what is slow and does not depend on Kamailio's release runs on one.
"""

from dataclasses import dataclass

import pytest

from tests.interop.releases import DEFAULT, RELEASES, Release

PAIR = ("k1", "d1", "k2", "d2")
"""The usual cluster: two Kamailio nodes, two dmqcache nodes."""


@dataclass(frozen=True)
class Lineup:
    """The releases of k1, k2, ... (by turns, if there are more nodes than releases)."""

    releases: tuple[Release, ...]
    names: tuple[str, ...] = PAIR

    def release(self, name: str) -> Release:
        return self.releases[(int(name[1:]) - 1) % len(self.releases)]

    @property
    def kamailios(self) -> tuple[str, ...]:
        """One Kamailio node of each release in it."""
        return tuple(f"k{number}" for number, _ in enumerate(self.releases, start=1))


LINEUPS = {line: Lineup((release,)) for line, release in RELEASES.items()}
LINEUPS["mixed"] = Lineup(tuple(RELEASES.values()), (*PAIR, "k3"))
ONE = DEFAULT.line

each_lineup = pytest.mark.parametrize("lineup", tuple(LINEUPS), scope="module")
all_releases = pytest.mark.parametrize("lineup", ("mixed",), scope="module")
"""For what takes a minute or more: once, where all releases are together."""
each_writer = pytest.mark.parametrize(
    ("lineup", "writer"),
    [(name, writer) for name, lineup in LINEUPS.items() for writer in (*lineup.kamailios, "d1")],
    scope="module",
)
"""Each line-up with a Kamailio node of each of its releases, and a dmqcache node, as the one that writes."""
