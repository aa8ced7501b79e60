"""What a node's disk was said to have is there after ``kill -9`` at any moment, and nothing else is."""

from __future__ import annotations

from pathlib import Path

from tests.disk.kills import series

#: As many as take half a minute. ``python -m tests.disk.kills`` is the long series.
KILLS = 12


def test_after_each_kill_all_is_there_that_must_be(tmp_path: Path) -> None:
    report = series(KILLS, tmp_path, interval=0.2, seed=7)
    assert report.problems == []
    assert report.kills == KILLS
    assert report.writes > 0
