"""The same as ``test_breakages.py`` for what only some runs draw: each breakage is looked for in those."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count, islice

import pytest

from dmqcache.store.table import merge as arrivals
from tests.simulation.campaign import run_seed
from tests.simulation.faults import draw

#: Seeds that draw it, within which something must be found.
SEEDS = 80

Patch = pytest.MonkeyPatch


def rows_are_not_looked_at(patch: Patch) -> None:
    patch.setattr(arrivals, "fault", lambda row, limit: None)


def an_older_wire_is_taken_for_a_kamailio(patch: Patch) -> None:
    patch.setattr("dmqcache.store.store.other_wire", lambda supported: None)


@pytest.mark.parametrize(
    ("breakage", "drawn"), [(rows_are_not_looked_at, "lie"), (an_older_wire_is_taken_for_a_kamailio, "older")]
)
def test_the_campaign_notices_where_it_is_drawn(
    breakage: Callable[[Patch], None], drawn: str, monkeypatch: Patch
) -> None:
    seeds = (seed for seed in count() if any(event.what == drawn for event in draw(seed).events))
    breakage(monkeypatch)
    seed = next(seed for seed in islice(seeds, SEEDS) if run_seed(seed).problems)
    monkeypatch.undo()
    assert not run_seed(seed).problems
