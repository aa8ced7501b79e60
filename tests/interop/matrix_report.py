"""Says at the end of a run which cells of the README's matrix ran and passed.

A plugin of pytest: ``conftest.py`` loads it; a run with workers names it, as its controller collects nothing
and reads no ``conftest.py`` of a folder (``-p tests.interop.matrix_report``).
"""

from dataclasses import astuple
from typing import Any

import pytest

from tests.interop.matrix import Case, report

NAME = "matrix of the README"


class _Run:
    """What passed of what was collected."""

    def __init__(self) -> None:
        self.cases: list[Case] = []
        self.passed: set[str] = set()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.cases = [case for item in session.items if (case := Case.of(item))]

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """A worker tells what it collected: all of it, as every other."""
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput["cases"] = [astuple(case) for case in self.cases]

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        if cases := getattr(node, "workeroutput", {}).get("cases"):
            self.cases = [Case(*case) for case in cases]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            self.passed.add(report.nodeid)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for line in report(self.cases, self.passed):
            terminalreporter.write_line(line)


def pytest_configure(config: pytest.Config) -> None:
    if not config.pluginmanager.has_plugin(NAME):
        config.pluginmanager.register(_Run(), NAME)
