"""A test that changes what the whole process shares is noticed, and the next one finds it as it was."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.process_state import ProcessState


def _a_level() -> None:
    logging.getLogger("dmqcache").setLevel(logging.ERROR)


def _a_new_logger() -> None:
    logging.getLogger("dmqcache.never.seen").propagate = False


def _a_handler() -> None:
    logging.getLogger().addHandler(logging.NullHandler())


def _no_logging() -> None:
    logging.disable(logging.WARNING)


def _a_variable() -> None:
    os.environ["DMQCACHE_NODE"] = "127.0.0.1:1"


def _a_variable_less() -> None:
    del os.environ["PATH"]


def _a_directory() -> None:
    os.chdir(Path.cwd().parent)


def _a_signal_handler() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_a_level, "the logger 'dmqcache'"),
        (_a_new_logger, "the logger 'dmqcache.never.seen'"),
        (_a_handler, "the logger 'root'"),
        (_no_logging, "logging_disabled"),
        (_a_variable, "environment"),
        (_a_variable_less, "environment"),
        (_a_directory, "directory"),
        (_a_signal_handler, "signal_handlers"),
    ],
)
def test_what_a_test_leaves_behind_is_named_and_taken_back(change: Callable[[], None], named: str) -> None:
    before = ProcessState.now()
    change()
    (said,) = before.differences(ProcessState.now())
    assert said.startswith(named)
    before.restore()
    assert before.differences(ProcessState.now()) == []


def test_the_test_that_leaves_something_behind_fails_and_no_other(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("from tests.conftest import _leaves_the_process_as_it_was, own_process")
    pytester.makepyfile(
        """
        import logging

        def test_leaves_a_level_behind():
            logging.getLogger("dmqcache").setLevel(logging.ERROR)

        def test_owns_its_process(own_process):
            logging.getLogger("dmqcache").setLevel(logging.ERROR)

        def test_finds_what_was():
            assert logging.getLogger("dmqcache").level == logging.NOTSET
        """
    )
    ran = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    ran.assert_outcomes(passed=3, errors=1)
    ran.stdout.fnmatch_lines(["*test_leaves_a_level_behind*", "*Failed: left behind: the logger*"])
