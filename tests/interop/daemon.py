"""A child process of a test: started with a log file, waited for with a deadline, ended with its whole group.

It knows nothing of what it runs; kamailio.py, process.py and bench/rivals.py say how to ask their program
whether it is ready. Whatever is still alive when the interpreter leaves is killed, so that a failed test
does not keep a port busy for the next one.
"""

import atexit
import contextlib
import os
import shutil
import signal
import subprocess
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from tests.waiting import NotReady, wait_until

END_TIMEOUT_S = 30.0
"""How long the kernel may take to end killed processes: those of a Kamailio share gigabytes."""

LOG_TAIL_BYTES = 6000
"""How much of a process' log goes into an error text."""


def require_programs(*names: str) -> None:
    """Fail with a text that says what to install, rather than skip: CI installs them all."""
    missing = [name for name in names if shutil.which(name) is None]
    if missing:
        packages = "kamailio redis-server redis-tools iproute2 iptables chromium"
        raise RuntimeError(f"needs {', '.join(missing)}: apt-get install -y {packages}")


class Daemon:
    """One started program, the leader of its own process group."""

    _alive: ClassVar["weakref.WeakSet[Daemon]"] = weakref.WeakSet()

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        namespace: str | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        """Start `command`, in the network namespace `namespace` if given; stdout and stderr go to `log`."""
        prefix = ["ip", "netns", "exec", namespace] if namespace else []
        self.name = name
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [*prefix, *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, **environ} if environ else None,
            )
        self._alive.add(self)

    @property
    def running(self) -> bool:
        """Whether the group's leader still runs."""
        return self.process.poll() is None

    def wait_ready(self, ready: Callable[[], object], timeout: float) -> None:
        """Wait until `ready` is true; fail at once, with the log, if the program ends before."""

        def answered() -> object:
            if not self.running:
                raise NotReady(f"{self.name} ended with status {self.process.returncode}:\n{self.tail()}")
            return ready()

        wait_until(answered, timeout, lambda: f"{self.name} ready:\n{self.tail()}", poll=0.05)

    def terminate(self, timeout: float) -> int:
        """SIGTERM to the leader, wait for its end, then nothing of the group is left; its exit status."""
        if self.running:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise NotReady(f"{self.name} did not stop within {timeout:g} s:\n{self.tail()}") from None
        self.kill()
        return status

    def kill(self) -> None:
        """SIGKILL to the whole group, as a power cut: nobody gets to say good-bye. When it returns, their
        ports are free: a child lives on for a moment after its parent, longer with much memory."""
        if self not in self._alive:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._alive.discard(self)
        wait_until(
            lambda: not _group_lives(self.process.pid), END_TIMEOUT_S, f"the end of {self.name}'s processes"
        )

    def freeze(self) -> None:
        """SIGSTOP to the whole group: the node keeps its ports and answers nothing."""
        os.killpg(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT after freeze()."""
        os.killpg(self.process.pid, signal.SIGCONT)

    def tail(self) -> str:
        """The end of the log, for error texts."""
        data = self.log.read_bytes() if self.log.exists() else b""
        return data[-LOG_TAIL_BYTES:].decode("utf-8", "replace")


def _group_lives(group: int) -> bool:
    """Whether any process of a group still runs. One that only waits to be reaped holds nothing any more."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _parent, its_group = stat.read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state not in "ZX":
                return True
    return False


@atexit.register
def _kill_all() -> None:
    for daemon in list(Daemon._alive):
        daemon.kill()
