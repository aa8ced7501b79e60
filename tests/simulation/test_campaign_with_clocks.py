"""Runs of the campaign in which all clocks are ahead and are set right at once: the newest write wins.

``python -m tests.simulation.campaign --clocks --seeds 1000`` is the long one.
"""

from __future__ import annotations

import pytest

from tests.simulation.campaign import failing, run_seed
from tests.simulation.faults import draw


@pytest.mark.parametrize("first", [10, 40])
def test_no_write_is_undone_when_all_clocks_are_set_back_at_once(first: int) -> None:
    assert failing(range(first, first + 10), clocks=True) == {}


def test_a_node_that_was_just_started_may_refuse_what_lies_ahead_for_a_moment() -> None:
    assert run_seed(3_057, clocks=True).problems == []


def test_clocks_change_no_other_run() -> None:
    plain, drawn = draw(4, 3, False), draw(4, 3, False, clocks=True)
    assert not plain.ahead_ms and drawn.ahead_ms
    assert [event for event in drawn.events if event.what != "jump_all"] == plain.events
