"""A real redis-server beside ours, and one connection to each: the same words to both."""

from __future__ import annotations

import select
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import hiredis

from tests.waiting import wait_until

#: Seconds until a server answers, and for each reply.
PATIENCE_S = 10.0


class Speaker:
    """One connection. Errors are replies like others, with their text."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._socket = socket.create_connection(address, PATIENCE_S)
        self._reader = hiredis.Reader(notEnoughData=self)

    def close(self) -> None:
        self._socket.close()

    def say(self, words: Sequence[str]) -> Any:
        """The reply to one command. Texts are bytes, errors ``("error", text)``."""
        self.send_words(words)
        return self.read()

    def send_words(self, words: Sequence[str]) -> None:
        """One command, whose replies are read later."""
        data = tuple(word.encode("utf-8", "surrogateescape") for word in words)
        self._socket.sendall(hiredis.pack_command(data))  # type: ignore[arg-type]

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def has_reply(self) -> bool:
        """Whether something came that was not read yet."""
        return bool(select.select([self._socket], [], [], 0)[0])

    def read(self) -> Any:
        """The next reply; None where the other side closed the connection instead."""
        while (reply := self._reader.gets()) is self:
            piece = self._socket.recv(1 << 16)
            if not piece:
                return "closed"
            self._reader.feed(piece)
        return plain(reply)


def plain(reply: Any) -> Any:
    """What can be compared."""
    if isinstance(reply, hiredis.ReplyError):
        return ("error", str(reply))
    if isinstance(reply, list):
        return [plain(one) for one in reply]
    return reply


def _free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        return int(taken.getsockname()[1])


@contextmanager
def redis_server() -> Iterator[tuple[str, int]]:
    """The address of a redis-server without a disk."""
    port = _free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--databases", "2"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:

        def answers() -> bool:
            assert process.poll() is None, "redis-server has ended"
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True

        wait_until(answers, PATIENCE_S, "an answer of redis-server")
        yield "127.0.0.1", port
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
