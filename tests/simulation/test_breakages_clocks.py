"""The same as ``test_breakages.py`` for runs in which all clocks are set at once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dmqcache.store.table.clock import Clock
from tests.simulation.campaign import run_seed

#: Seeds within which something must be found: those of even ones leap forward. The first noticed it first.
SEEDS = (10, *range(0, 80, 2))


def times_to_live_are_counted_on_the_wall(patch: pytest.MonkeyPatch) -> None:
    whole = Clock.__init__

    def wrong(self: Clock, now: Callable[[], float], wall_ms: Callable[[], int]) -> None:
        whole(self, lambda: wall_ms() / 1000, wall_ms)

    patch.setattr(Clock, "__init__", wrong)


def test_the_campaign_notices_where_clocks_leap_forward(monkeypatch: pytest.MonkeyPatch) -> None:
    times_to_live_are_counted_on_the_wall(monkeypatch)
    seed = next(seed for seed in SEEDS if run_seed(seed, clocks=True).problems)
    monkeypatch.undo()
    assert not run_seed(seed, clocks=True).problems
