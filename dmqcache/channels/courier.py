"""What clients published here, on its way to one dmqcache node: in order, in batches, within a bound.

One message of the bus is under way at a time and what comes meanwhile waits for the next one: so the order
stays, an idle node sends at once and a busy one in large pieces. As in Redis nothing is said twice: what a
node does not answer, and what waits beyond the bound, is lost to its subscribers, and counted.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import Final

import msgspec

from dmqcache.bus.peer import OnResponse, Response, Sending

#: Bytes that wait for one node; beyond that the newest are lost.
MAX_WAITING_BYTES: Final = 8 << 20
#: Bytes of a batch. A longer message goes alone.
BATCH_BYTES: Final = 24_000
#: Messages of a batch, so that none holds its receiver's loop.
BATCH_MESSAGES: Final = 500
#: What Python needs beside the bytes of a message that waits, about.
OVERHEAD_BYTES: Final = 150

#: A channel's name and a message.
Published = tuple[bytes, bytes]

_DECODER: Final = msgspec.msgpack.Decoder(list[Published])


def encode(messages: list[Published]) -> bytes:
    """A body: MessagePack, as both parts may be any bytes."""
    return msgspec.msgpack.encode(messages)


def decode(body: bytes) -> list[Published]:
    """What :func:`encode` made. ValueError, also for more messages than any node sends."""
    messages = _DECODER.decode(body)
    if len(messages) > BATCH_MESSAGES:
        raise ValueError(f"{len(messages)} messages, {BATCH_MESSAGES} are the most")
    return messages


class Courier:
    """The messages for one node."""

    def __init__(self, send: Callable[[bytes, OnResponse], Sending], counts: Counter[str]) -> None:
        """``send`` sends one body. ``counts``: ``out`` and ``lost`` grow."""
        self._send = send
        self._counts = counts
        self._waiting: deque[Published] = deque()
        self._size = 0
        self._under_way: Sending | None = None
        self._carried = 0
        self._closed = False

    def add(self, message: Published) -> None:
        """One more, after all others."""
        size = _size(message)
        if self._size + size > MAX_WAITING_BYTES:
            self._counts["lost"] += 1
            return
        self._waiting.append(message)
        self._size += size

    def pump(self) -> None:
        """Send what waits, unless something is under way."""
        if self._under_way is not None or not self._waiting or self._closed:
            return
        batch: list[Published] = []
        size = 0
        while self._waiting and len(batch) < BATCH_MESSAGES:
            following = _size(self._waiting[0])
            if batch and size + following > BATCH_BYTES:
                break
            batch.append(self._waiting.popleft())
            size += following
        self._size -= size
        self._carried = len(batch)
        self._under_way = self._send(encode(batch), self._answered)

    def _answered(self, response: Response) -> None:
        self._under_way = None
        self._counts["out" if response.status == 200 else "lost"] += self._carried
        self._carried = 0
        self.pump()

    def close(self) -> None:
        """The node is gone: nothing is sent any more."""
        self._closed = True
        self._counts["lost"] += len(self._waiting) + self._carried
        self._waiting.clear()
        self._size = self._carried = 0
        if self._under_way is not None:
            self._under_way.cancel()
            self._under_way = None


def _size(message: Published) -> int:
    return len(message[0]) + len(message[1]) + OVERHEAD_BYTES
