"""What holds for every test: it leaves the process as it found it."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.process_state import ProcessState

pytest_plugins = ["pytester"]

# No test asserts on time: a busy machine is no fault of the code.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

# Started in the background, or by nohup, we ignore these, and so would every node that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def _leaves_the_process_as_it_was() -> Iterator[None]:
    """Fail the test that leaves something behind, not one that runs after it by chance."""
    before = ProcessState.now()
    yield
    left = before.differences(ProcessState.now())
    if left:
        before.restore()
        pytest.fail("left behind: " + "; ".join(left))


@pytest.fixture
def own_process() -> Iterator[None]:
    """For tests that set up logging, or run in this process what is made for a process of its own."""
    before = ProcessState.now()
    yield
    before.restore()
