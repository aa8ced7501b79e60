"""Runs of the campaign in which all clocks are set at once, back or forward: the newest write wins.

``python -m tests.simulation.campaign --clocks --seeds 1000`` is the long one.
"""

from __future__ import annotations

import pytest

from tests.simulation.campaign import failing, run_seed
from tests.simulation.faults import draw


@pytest.mark.parametrize("first", [10, 40])
def test_no_write_is_undone_when_all_clocks_are_set_at_once(first: int) -> None:
    assert failing(range(first, first + 10), clocks=True) == {}


def test_a_node_that_was_just_started_may_refuse_what_lies_ahead_for_a_moment() -> None:
    assert run_seed(3_057, clocks=True).problems == []


def test_clocks_change_no_other_run() -> None:
    for seed in (4, 5):
        plain, drawn = draw(seed, 3, False), draw(seed, 3, False, clocks=True)
        assert bool(drawn.ahead_ms) is bool(seed % 2)
        assert [event for event in drawn.events if event.what != "jump_all"] == plain.events


def test_a_flush_of_which_a_node_hears_late_may_leave_what_lies_ahead_there() -> None:
    assert run_seed(73, clocks=True).problems == []
