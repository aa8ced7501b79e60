"""Long work in steps: as much at once as fits into a step, others between two steps, one end."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest

from dmqcache.bus.loop_steps import STEP_S, in_steps, step
from tests.bus.virtual import Clock, VirtualRuntime

#: Seconds that a piece takes: three fit into a step, and the last one of them ends beyond it.
PIECE_S = 0.4 * STEP_S
#: Turns of the loop that a test looks at.
TURNS = 12


class SlowRuntime(VirtualRuntime):
    """One on which work takes time, while that of the loop stands still."""

    worked = 0.0

    def now(self) -> float:
        return super().now() + self.worked


class Work:
    """Ten pieces, each of which takes its time, and which of them were done in which turn of the loop."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.runtime = SlowRuntime(self.clock)
        self.done: list[list[int]] = [[]]
        self.ends: list[int] = []
        self.given_up_in: int | None = None

    def pieces(self) -> Generator[None, None, str]:
        for number in range(10):
            self.runtime.worked += PIECE_S
            self.done[-1].append(number)
            yield
        return "all"

    def run(self, pieces: Iterator[object]) -> None:
        """Begin, and let the loop come round, where others have their turns as well."""
        in_steps(self.runtime, pieces, self._end, lambda: self.given_up_in == len(self.done) - 1)
        self._others()
        self.clock.run(0.0)

    def _end(self) -> None:
        self.ends.append(len(self.done) - 1)

    def _others(self) -> None:
        if len(self.done) < TURNS:
            self.done.append([])
            self.clock.call_later(0.0, self._others)


def test_a_step_is_as_many_pieces_as_fit_and_the_others_come_on_later_turns() -> None:
    work = Work()
    work.run(work.pieces())
    assert work.done[:5] == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9], []]
    assert (work.ends, work.clock.pending) == ([3], 0)


@pytest.mark.parametrize("pieces", [[], [None, None]])
def test_little_work_is_done_and_over_at_once(pieces: list[None]) -> None:
    work = Work()
    work.run(iter(pieces))
    assert work.ends == [0]


def test_where_there_is_no_time_each_step_is_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dmqcache.bus.loop_steps.STEP_S", 0.0)
    work = Work()
    work.run(work.pieces())
    assert work.done[:10] == [[number] for number in range(10)]


@pytest.mark.parametrize(("turn", "done"), [(0, []), (2, [0, 1, 2, 3, 4, 5])])
def test_what_is_given_up_does_nothing_more_and_has_no_end(turn: int, done: list[int]) -> None:
    work = Work()
    work.given_up_in = turn
    work.run(work.pieces())
    assert [number for some in work.done for number in some] == done
    assert (work.ends, work.clock.pending) == ([], 0)


def test_a_step_tells_by_stop_iteration_what_the_work_returned() -> None:
    work = Work()
    pieces = work.pieces()
    for _ in range(3):
        step(pieces, work.runtime.now)
    with pytest.raises(StopIteration, match="all"):
        step(pieces, work.runtime.now)
    assert work.done == [list(range(10))]
