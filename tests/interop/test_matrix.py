"""The README's matrix is what the tests are: each promise has some, each cell those that are collected."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.interop import matrix
from tests.interop.matrix import ROOT, Case, cells, in_readme, report, rewritten, table
from tests.interop.promises import PROMISES

NAMES = [name for names in PROMISES.values() for name in names]


@pytest.fixture(scope="module")
def printed() -> str:
    """In a process of its own: what pytest is while it collects, it must not become here."""
    command = [sys.executable, "-m", matrix.__name__]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout.strip()


def test_the_readme_has_the_matrix_of_the_tests(printed: str) -> None:
    """`python -m tests.interop.matrix --write` makes it anew."""
    assert in_readme((ROOT / "README.md").read_text("utf-8")) == printed


def test_each_promise_is_tried_beside_some_release(printed: str) -> None:
    rows = printed.splitlines()[2:]
    assert len(rows) == len(PROMISES)
    for row in rows:
        assert any(cell.strip().isdigit() for cell in row.split("|")), row


def test_each_test_is_named_once_and_exists_and_those_of_a_row_stand_in_one_file() -> None:
    for names in PROMISES.values():
        assert len({name.partition("::")[0] for name in names}) == 1
    assert len(NAMES) == len(set(NAMES))
    for name in NAMES:
        file, _, function = name.partition("::")
        assert f"def {function}(" in (ROOT / "tests" / "interop" / f"{file}.py").read_text("utf-8"), name


def _cases(lineup: str, count: int = 1) -> list[Case]:
    return [Case(f"{NAMES[0]}[{lineup}-{number}]", NAMES[0], lineup) for number in range(count)]


def test_a_row_names_its_tests_and_a_cell_counts_their_cases() -> None:
    row = table([*_cases("5.6", 2), *_cases("mixed")]).splitlines()[2]
    file, _, function = NAMES[0].partition("::")
    link = f"[{file}](tests/interop/{file}.py): {function.removeprefix('test_')}"
    assert row == f"| {next(iter(PROMISES))} | 2 | - | - | 1 | {link} |"


def test_a_run_says_which_cells_it_has_shown() -> None:
    cases = [*_cases("5.6", 2), *_cases("6.0"), *_cases("6.1")]
    first = next(iter(PROMISES))
    assert set(cells(cases)) == {(first, "5.6"), (first, "6.0"), (first, "6.1")}
    passed = {case.nodeid for case in cases[1:]}
    assert list(report(cases, passed)) == [
        "the README's matrix: 2 of 3 cells ran and passed",
        f"  not: {first}, 5.6",
    ]
    assert list(report(cases, {cases[2].nodeid})) == []


def test_the_matrix_is_put_between_its_marks() -> None:
    text = f"before\n{matrix.BEGIN}\nold\n{matrix.END}\nafter\n"
    assert rewritten(text, "| new |") == f"before\n{matrix.BEGIN}\n\n| new |\n\n{matrix.END}\nafter\n"
    assert in_readme(rewritten(text, "| new |")) == "| new |"
