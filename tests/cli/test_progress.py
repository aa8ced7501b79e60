"""The bar on a terminal, and that nothing is drawn where there is none."""

from __future__ import annotations

import io

import pytest

from dmqcache.cli.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_line_says_how_far_it_is_how_fast_and_how_long_it_takes() -> None:
    progress = Progress("cells", 1_000, 100, Terminal(), now=lambda: 50.0, columns=80)
    assert progress.line(500, 54.0) == (
        "[###############               ]  50%, 500 of 1,000 cells, 100/s, 5 s left"
    )
    assert progress.line(1_000, 59.0) == f"[{'#' * 30}] 100%, 1,000 of 1,000 cells, 100/s"
    assert Progress("cells", 0, 0, Terminal(), now=lambda: 0.0).line(70, 7.0) == "70 cells, 10/s"


@pytest.mark.parametrize(("columns", "bar"), [(80, 23), (120, 30), (60, 0), (20, 0)])
def test_a_large_number_leaves_the_line_within_the_terminal(columns: int, bar: int) -> None:
    """A line that wraps is drawn below itself each time."""
    progress = Progress("bytes", 1_548_924, 0, Terminal(), now=lambda: 0.0, columns=columns)
    line = progress.line(774_462, 2.0)
    assert len(line) < columns
    assert line.count("#") == round(bar * 0.5)
    assert line.startswith("[" if bar else "50%, ")


def test_it_is_drawn_now_and_then_and_taken_away_at_the_end() -> None:
    terminal, seconds = Terminal(), [0.0]
    with Progress("cells", 10, stream=terminal, now=lambda: seconds[0]) as progress:
        for done in range(10):
            progress.at(done)
            seconds[0] += 0.11
    shown = terminal.getvalue().split("\r")
    assert 3 <= sum("of 10 cells" in line for line in shown) <= 6
    assert shown[-1] == "" and shown[-2].strip() == ""


def test_nothing_is_drawn_into_a_pipe() -> None:
    pipe, seconds = io.StringIO(), [0.0]
    with Progress("cells", 10, stream=pipe, now=lambda: seconds[0]) as progress:
        seconds[0] += 5
        progress.at(3)
    assert pipe.getvalue() == ""
