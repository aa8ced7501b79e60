"""One datagram socket's readiness, told to an event loop in the one way that every loop bears.

A socket that reports ICMP errors (IP_RECVERR) wakes poll with POLLERR. libuv takes that as the end of the
descriptor and stops watching it without a word: under uvloop the node would be deaf from the first refusal
on. A private epoll between the socket and the loop shows all of it as plain "readable", and costs nothing
that could be measured.
"""

from __future__ import annotations

import asyncio
import select
import socket
import sys
from collections.abc import Callable


class Readiness:
    """Calls ``ready`` whenever the socket can be read, has an error or (if wanted) can be written."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, ready: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._ready = ready
        if sys.platform == "linux":
            self._epoll = select.epoll()
            self._epoll.register(sock, select.EPOLLIN)
            loop.add_reader(self._epoll.fileno(), ready)
        else:
            loop.add_reader(sock, ready)

    def want_write(self, wanted: bool) -> None:
        """Whether room in the send buffer shall wake as well."""
        if sys.platform == "linux":
            self._epoll.modify(self._sock, select.EPOLLIN | select.EPOLLOUT if wanted else select.EPOLLIN)
        elif wanted:
            self._loop.add_writer(self._sock, self._ready)
        else:
            self._loop.remove_writer(self._sock)

    def close(self) -> None:
        """Stop watching; the socket itself stays open."""
        if sys.platform == "linux":
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()
        else:
            self._loop.remove_reader(self._sock)
            self._loop.remove_writer(self._sock)
