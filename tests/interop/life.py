"""The life of one node's process as a test sees it, whichever program it is: its own folder, start, kill.

kamailio.py and process.py say how their program is started, asked and stopped; daemon.py holds the process.
"""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from tests.interop.daemon import Daemon, wait_until


class NodeProcess:
    """One node on an address of its own."""

    #: What its program is called in error texts.
    title: str
    #: The node's server_address.
    uri: str

    def __init__(self, kind: str, host: str) -> None:
        self.host = host
        self.title = f"{kind} {host}"
        self._directory = Path(tempfile.mkdtemp(prefix=f"dmqc-{kind}-{host}-"))
        self._daemon: Daemon | None = None

    def start(self) -> Self:
        """Start the process and wait until it answers."""
        raise NotImplementedError

    @property
    def daemon(self) -> Daemon:
        """The running process; RuntimeError before start()."""
        if self._daemon is None:
            raise RuntimeError(f"{self.title} was not started")
        return self._daemon

    @property
    def running(self) -> bool:
        return self._daemon is not None and self._daemon.running

    def kill(self) -> None:
        """SIGKILL of every process of this node at once."""
        self.daemon.kill()

    def restart(self) -> None:
        """Kill if it runs, then start again with the same configuration and empty tables."""
        if self.running:
            self.kill()
        self.start()

    def close(self) -> None:
        """Kill what runs and remove the directory."""
        if self._daemon is not None:
            self._daemon.kill()
        shutil.rmtree(self._directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self if self.running else self.start()

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def diagnosis(self) -> str:
        """The end of the log, for a failing test."""
        return f"--- {self.title} ---\n{self.daemon.tail()}"

    def nodes(self) -> dict[str, str]:
        """Every node of the bus that this one knows, itself included: its URI and its status."""
        raise NotImplementedError

    def _wait_active(
        self, uris: Sequence[str], timeout: float, spared: frozenset[str], trouble: Callable[[], object]
    ) -> None:
        """Wait until exactly ``uris`` are active, whatever is with those spared."""
        wait_until(
            lambda: {uri for uri, status in self.nodes().items() if status == "active"} - spared == set(uris),
            timeout,
            lambda: f"{self.uri} knows {list(uris)}; it knows {trouble()}\n{self.diagnosis()}",
        )
