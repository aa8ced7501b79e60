"""The README's matrix of what is tried beside which Kamailio: ``python -m tests.interop.matrix`` prints it.

Its rows are the promises (``promises.py``), its columns the line-ups; a cell is how many cases of the row's
tests pytest collects beside the line-up. ``--write`` puts it into the README. At the end of a run of these
tests ``conftest.py`` says which cells ran and passed.
"""

import sys
from collections.abc import Iterable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest

from tests.interop.lineups import LINEUPS
from tests.interop.promises import PROMISES
from tests.interop.releases import RELEASES

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
BEGIN, END = "<!-- matrix: made by tests/interop/matrix.py -->", "<!-- end of matrix -->"


@dataclass(frozen=True)
class Case:
    """One collected test."""

    nodeid: str
    name: str
    """File and function, as in PROMISES."""
    lineup: str

    @classmethod
    def of(cls, item: pytest.Item) -> "Case | None":
        """None for a test that stands beside no line-up."""
        parameters = getattr(item, "callspec", None)
        if parameters is None:
            return None
        lineup = parameters.params.get("lineup", parameters.params.get("line"))
        function = getattr(item, "originalname", item.name)
        return cls(item.nodeid, f"{item.path.stem}::{function}", lineup) if lineup in LINEUPS else None


def cells(cases: Iterable[Case]) -> dict[tuple[str, str], list[Case]]:
    """The cases of each promise and line-up that have any."""
    found: dict[tuple[str, str], list[Case]] = {}
    rows = {name: promise for promise, names in PROMISES.items() for name in names}
    for case in cases:
        if case.name in rows:
            found.setdefault((rows[case.name], case.lineup), []).append(case)
    return found


def table(cases: Iterable[Case]) -> str:
    """The matrix in Markdown."""
    found = cells(cases)
    heads = [RELEASES[name].patch if name in RELEASES else name for name in LINEUPS]
    lines = ["| | " + " | ".join(heads) + " | tests |", "| --- |" + " ---: |" * len(heads) + " --- |"]
    for promise, names in PROMISES.items():
        counts = [str(len(found.get((promise, lineup), [])) or "-") for lineup in LINEUPS]
        file = names[0].partition("::")[0]
        functions = ", ".join(name.partition("::")[2].removeprefix("test_") for name in names)
        lines.append(f"| {promise} | {' | '.join(counts)} | [{file}](tests/interop/{file}.py): {functions} |")
    return "\n".join(lines)


class _Collector:
    """Takes what pytest collects."""

    def __init__(self) -> None:
        self.cases: list[Case] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.cases = [case for item in session.items if (case := Case.of(item))]


def collect() -> list[Case]:
    """All tests of this folder that stand beside a line-up."""
    collector = _Collector()
    words = ["--collect-only", "-qq", "-p", "no:cacheprovider", "--no-header", str(Path(__file__).parent)]
    with redirect_stdout(StringIO()) as said:
        status = pytest.main(words, plugins=[collector])
    if status != 0:
        raise SystemExit(f"the tests could not be collected:\n{said.getvalue()}")
    return collector.cases


def in_readme(text: str) -> str:
    """The matrix that stands in the README."""
    return text.partition(BEGIN)[2].partition(END)[0].strip()


def rewritten(text: str, matrix: str) -> str:
    """The README with another matrix."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{matrix}\n\n{END}{rest.partition(END)[2]}"


def report(cases: Iterable[Case], passed: set[str]) -> Iterator[str]:
    """What a run has shown of the matrix, if it was a run of most of it."""
    found = cells(cases)
    shown = {cell for cell, these in found.items() if all(case.nodeid in passed for case in these)}
    if 2 * len(shown) > len(found):
        yield f"the README's matrix: {len(shown)} of {len(found)} cells ran and passed"
        yield from (
            f"  not: {promise}, {lineup}" for promise, lineup in found if (promise, lineup) not in shown
        )


def main() -> None:
    matrix = table(collect())
    if "--write" in sys.argv:
        README.write_text(rewritten(README.read_text("utf-8"), matrix), "utf-8")
    else:
        print(matrix)


if __name__ == "__main__":
    main()
