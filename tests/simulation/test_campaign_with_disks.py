"""Runs of the campaign in which nodes keep their tables on disk, and now and then all are gone at once.

``python -m tests.simulation.campaign --disks --seeds 1000`` is the long one.
"""

from __future__ import annotations

import pytest

from tests.simulation.campaign import failing


@pytest.mark.parametrize("first", [1_000, 1_010])
def test_nodes_with_disks_agree_whatever_happens(first: int) -> None:
    assert failing(range(first, first + 10), disks=True) == {}
