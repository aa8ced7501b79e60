"""A client that writes as fast as it is let: SETs on a socket of its own, and exactly how many were answered.

redis-py would lose count of a pipeline that is cut off in the middle, and be slower than the node.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

from tests.interop.dmqcache_node import DmqcacheNode

OK = b"+OK\r\n"
TIMEOUT_S = 60.0


class Firehose(threading.Thread):
    """Writes cell after cell to one node until it is told to stop, has written ``most``, or is cut off."""

    def __init__(
        self,
        node: DmqcacheNode,
        table: str,
        cell: Callable[[int], tuple[str, str]],
        *,
        most: int = 1 << 62,
        batch: int = 100,
        rate: float = 1e9,
    ) -> None:
        """``cell``: key and value of each number from 0 on. ``batch``: SETs that are sent before an answer is
        read; ``rate``: of a second, at most."""
        super().__init__(daemon=True)
        self.acknowledged = 0
        self.cut_off = False
        self.error: BaseException | None = None
        self._address = (node.host, node.client_port)
        self._table = node.tables.index(table)
        self._cell = cell
        self._most = most
        self._batch = batch
        self._rate = rate
        self._stopped = threading.Event()

    def run(self) -> None:
        try:
            with socket.create_connection(self._address, TIMEOUT_S) as client:
                client.sendall(_command("SELECT", str(self._table)))
                self._read(client, len(OK))
                self._write(client)
        except ConnectionError:
            self.cut_off = True
        except BaseException as error:
            self.error = error

    def _write(self, client: socket.socket) -> None:
        began, sent = time.monotonic(), 0
        while sent < self._most and not self._stopped.is_set():
            numbers = range(sent, min(self._most, sent + self._batch))
            client.sendall(b"".join(_command("SET", *self._cell(number)) for number in numbers))
            sent += len(numbers)
            answered = 0
            while answered < len(numbers) * len(OK):
                answered += self._read(client, len(numbers) * len(OK) - answered)
                self.acknowledged = sent - len(numbers) + answered // len(OK)
            self._stopped.wait(max(0.0, began + sent / self._rate - time.monotonic()))

    @staticmethod
    def _read(client: socket.socket, most: int) -> int:
        data = client.recv(most)
        if not data:
            raise ConnectionResetError("the node has closed the connection")
        if set(data) - set(OK):
            raise AssertionError(f"the node answers {data[:200]!r}")
        return len(data)

    def stop(self) -> None:
        """Write no more; AssertionError if anything was wrong."""
        self._stopped.set()
        self.join(TIMEOUT_S)
        assert not self.is_alive() and self.error is None, self.error


def _command(*words: str) -> bytes:
    parts = [word.encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)
