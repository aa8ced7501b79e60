"""The longest common subsequence: beside the table as it stands in every textbook."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmqcache.server.resp import lcs as module
from dmqcache.server.resp.lcs import Run, Search

#: Few different bytes, so that much is common, in more than one way.
VALUES = st.lists(st.sampled_from(b"ab\0\xff"), min_size=1, max_size=40).map(bytes)


def found(a: bytes, b: bytes) -> tuple[int, list[Run]]:
    search = Search(a, b)
    steps = search.length()
    try:
        while True:
            next(steps)
    except StopIteration as end:
        length: int = end.value
    return length, [run for run in search.runs() if run is not None]


def by_table(a: bytes, b: bytes) -> tuple[int, list[Run]]:
    """The whole table, and the way back: where both are as long, in the second value."""
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a, 1):
        for j, y in enumerate(b, 1):
            table[i][j] = table[i - 1][j - 1] + 1 if x == y else max(table[i - 1][j], table[i][j - 1])
    i, j, runs = len(a), len(b), []
    while i and j:
        end = i
        while i and j and a[i - 1] == b[j - 1]:
            i, j = i - 1, j - 1
        if end > i:
            runs.append(Run(i, j, end - i))
        elif table[i - 1][j] > table[i][j - 1]:
            i -= 1
        else:
            j -= 1
    return table[len(a)][len(b)], runs


@given(VALUES, VALUES)
def test_it_is_that_of_the_table(a: bytes, b: bytes) -> None:
    length, runs = found(a, b)
    assert (length, runs) == by_table(a, b)
    assert sum(run.size for run in runs) == length


def test_masks_that_are_not_kept_are_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT_MASKS", 0)
    monkeypatch.setattr(module, "MASK_PIECE", 32)
    a, b = b"abcabba" * 20, b"cbabac" * 30
    assert found(a, b) == by_table(a, b)
