"""What the tests' processes are started with: when one was killed, nothing of it is left."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from tests.interop.daemon import Daemon
from tests.waiting import NotReady, wait_until

#: A main process whose child holds much memory, as Kamailio's: clearing it away takes the kernel a while.
FAMILY = """
import mmap, os, time
if os.fork() == 0:
    held = mmap.mmap(-1, 300 << 20)
    for page in range(0, len(held), 4096):
        held[page] = 1
    print("child", os.getpid(), flush=True)
time.sleep(600)
"""


def lives(pid: int) -> bool:
    """Whether a process is more than a name in the table of processes."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def family(tmp_path: Path) -> tuple[Daemon, int]:
    daemon = Daemon("family", [sys.executable, "-c", FAMILY], tmp_path / "log")
    wait_until(lambda: "child" in daemon.tail(), 30, daemon.tail)
    child = int(daemon.tail().split()[1])
    assert lives(child)
    return daemon, child


def test_after_kill_no_process_of_the_group_lives(tmp_path: Path) -> None:
    daemon, child = family(tmp_path)
    daemon.kill()
    assert not lives(child)
    assert not daemon.running


def test_after_terminate_no_process_of_the_group_lives(tmp_path: Path) -> None:
    daemon, child = family(tmp_path)
    assert daemon.terminate(10) == -signal.SIGTERM
    assert not lives(child)


def test_killing_twice_is_no_error(tmp_path: Path) -> None:
    daemon, _ = family(tmp_path)
    daemon.kill()
    daemon.kill()


def test_a_program_that_ends_before_it_is_ready_is_told_at_once(tmp_path: Path) -> None:
    daemon = Daemon("short", ["sh", "-c", "echo no; exit 3"], tmp_path / "log")
    with pytest.raises(NotReady, match=r"short ended with status 3:\nno"):
        daemon.wait_ready(lambda: False, 60)
