"""Runs of the campaign on a bus with a key: nodes agree whatever happens, and nobody is taken for a forger.

``python -m tests.simulation.campaign --key --seeds 1000`` is the long one.
"""

from __future__ import annotations

import pytest

from tests.simulation.campaign import failing


@pytest.mark.parametrize("first", [2_000, 2_010])
def test_nodes_with_a_key_agree_whatever_happens(first: int) -> None:
    assert failing(range(first, first + 10), keyed=True) == {}
