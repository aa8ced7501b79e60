"""Four hundred runs of the campaign, in chunks that fit one worker of pytest-xdist each.

``make simulate SEEDS=10000`` is the long one. A seed that fails here is replayed with
``python -m tests.simulation.campaign --replay SEED``.
"""

from __future__ import annotations

import pytest

from tests.simulation.campaign import failing, run_seed

#: Seeds of one test.
CHUNK = 20


@pytest.mark.parametrize("first", range(0, 400, CHUNK))
def test_nodes_agree_whatever_happens(first: int) -> None:
    failed = failing(range(first, first + CHUNK))
    if failed:
        pytest.fail(f"{failed}", pytrace=False)


@pytest.mark.parametrize(("seed", "size"), [(1, 20), (2, 50)])
def test_large_clusters_agree(seed: int, size: int) -> None:
    assert run_seed(seed, size=size, kamailio=False).problems == []


def test_a_node_whose_answers_tcp_holds_back_for_three_seconds_is_waited_for() -> None:
    """At 10% loss it counts as lost meanwhile; soon it is back, and has acknowledged all."""
    assert run_seed(700056).problems == []


def test_a_node_that_was_just_started_forgets_no_delete_before_older_ones() -> None:
    """Five are kept; what a Kamailio repeats of the time before would undo it."""
    assert run_seed(422, kamailio=True).problems == []
