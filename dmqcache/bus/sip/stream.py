"""A stream of bytes cut into SIP messages.

Owns framing by Content-Length (RFC 3261 section 18.3) and the keep-alive line ends between messages (RFC 5626
section 3.5.1). Connections are ``transport.py``'s, what a message says is ``sip_message.py``'s.
"""

from __future__ import annotations

import re

from dmqcache.bus.sip.head import MAX_HEAD, find_head_end, parse_length
from dmqcache.bus.sip.headers import MessageError

#: Bytes of one message on a stream. A batch of cells is far smaller; one value of 1 MiB, with every byte
#: escaped in JSON, takes six.
MAX_STREAM_MESSAGE = 8 * 1024 * 1024

# Possessive, so that a head full of near misses costs one pass.
_LENGTH = re.compile(rb"\n(?:content-length|l)[ \t]*+:((?:\r?\n[ \t]|[^\r\n])*+)", re.IGNORECASE)
_START_CHARACTERS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.!%*_+`'~")


class StreamFramer:
    """One direction of one connection. Feeding byte by byte costs no more than a few passes."""

    def __init__(self, max_message: int = MAX_STREAM_MESSAGE) -> None:
        """``max_message``: bytes of the largest message taken, head included."""
        #: Double line ends seen between messages: each is a ping to be answered with one CRLF. Only grows.
        self.pongs = 0
        #: Why the stream cannot be read on. When set, close the connection: nothing more comes out.
        self.error: MessageError | None = None
        #: May be changed at any time; counts for messages whose head is not complete yet.
        self.max_message = max_message
        self._buffer = bytearray()
        self._searched = 0
        self._needed = 0
        self._line_ends = 0

    @property
    def begun(self) -> bool:
        """Whether a part of a message is here and waits for the rest."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes as they came; returns the messages that are now complete, in order.

        Raises :class:`MessageError` when the stream cannot be cut any more, because a length is missing or
        wrong, or a limit is passed. Messages complete before that point are returned first: then ``error``
        is set, and the next call raises it.
        """
        if self.error is not None:
            raise self.error
        self._buffer += data
        messages: list[bytes] = []
        try:
            while (message := self._next()) is not None:
                messages.append(message)
        except MessageError as error:
            self.error = error
            self._buffer.clear()
            if not messages:
                raise
        return messages

    def _next(self) -> bytes | None:
        buffer = self._buffer
        if not self._needed:
            self._skip_line_ends()
            if not buffer:
                return None
            self._needed = self._measure()
        if not self._needed or len(buffer) < self._needed:
            return None
        message = bytes(buffer[: self._needed])
        del buffer[: self._needed]
        self._needed = self._searched = 0
        return message

    def _skip_line_ends(self) -> None:
        buffer = self._buffer
        if not buffer:
            return
        size = 0 if buffer[0] not in b"\r\n" else len(buffer) - len(buffer.lstrip(b"\r\n"))
        pings, rest = divmod(self._line_ends + buffer.count(b"\n", 0, size), 2)
        self.pongs += pings
        del buffer[:size]
        # One line end may be half a ping, unless a message follows it.
        self._line_ends = 0 if buffer else rest

    def _measure(self) -> int:
        """Bytes of the message that the buffer begins with, or 0 while its head is not complete."""
        buffer = self._buffer
        if buffer[0] not in _START_CHARACTERS:
            raise MessageError("not_sip", bytes(buffer[:40]).decode("utf-8", "replace"))
        end, start = find_head_end(buffer, self._searched)
        if end > MAX_HEAD or (end < 0 and len(buffer) > MAX_HEAD):
            raise MessageError("head_too_large", str(len(buffer)))
        if end < 0:
            # Two bytes may already belong to the empty line.
            self._searched = max(0, len(buffer) - 2)
            return 0
        found = [
            value.decode("ascii", "replace").strip(" \t\r\n") for value in _LENGTH.findall(buffer, 0, end)
        ]
        if not found:
            raise MessageError("missing_content_length")
        size = start + parse_length(found)
        if size > self.max_message:
            raise MessageError("too_large", str(size))
        return size
