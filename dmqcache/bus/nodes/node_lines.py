"""The body of the notification channel: one node a line. Text in, lines out, and back.

Owns the syntax and what is safe to send; what a line means for the list is ``membership.py``'s business.
A line that a Kamailio cannot read makes 5.6.3 hang for good and later versions drop the rest, so only
:class:`NodeLines` writes bodies, and it writes nothing but the safest form: an IP address and its port, or
what a node says of itself, letter by letter; the transport only if it is not UDP, ``active`` or
``disabled``, CRLF after every line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple, TypeVar

from dmqcache.bus.node import NodeStatus
from dmqcache.bus.sip.uri import NodeURI, SipURI, URIError, as_written, is_ip

#: Lines read of one body; a UDP datagram holds about 2,500. The rest is dropped as ``node_lines_too_many``.
MAX_LINES = 10_000
#: Lines whose meaning is kept. A line is under 8 KiB, and a good one usually 40 bytes.
MAX_KEPT = 2_000
#: Words of Kamailio 5 and 6. 6.x's ``not_active`` is what 5.x calls ``timeout``.
STATUS_WORDS = {
    "active": NodeStatus.ACTIVE,
    "disabled": NodeStatus.DISABLED,
    "timeout": NodeStatus.TIMEOUT,
    "not_active": NodeStatus.TIMEOUT,
    "pending": NodeStatus.PENDING,
}
#: Characters of an instance that are kept: ours has eight.
MAX_INSTANCE = 32

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class NodeLine(NamedTuple):
    """One line."""

    uri: NodeURI
    status: NodeStatus = NodeStatus.ACTIVE
    #: Ours only: drawn at each start, so that a restart shows even if nobody missed the node.
    instance: str = ""
    #: Ours only: how often the sender has asked the node in vain. Whoever reads it should look, and not meet
    #: it for this.
    suspect: int = 0
    #: The address letter by letter, where that matters: see :attr:`~dmqcache.bus.node.Node.written`.
    written: str = ""


class NodeLines:
    """Reads and writes lists. Lists come again and again with the same lines, so their meaning is kept."""

    def __init__(self, drops: Counter[str]) -> None:
        """``drops``: where bad lines are counted."""
        self._drops = drops
        #: The text of a good line -> its meaning, and back.
        self._read: dict[bytes, NodeLine] = {}
        self._written: dict[NodeLine, bytes] = {}

    def write(self, lines: Iterable[NodeLine]) -> bytes:
        """The body. A node known by a name that is not its own is left out: 5.6.3 hangs where it cannot
        resolve the name. Its own name it tells everybody itself."""
        return b"".join([self._written.get(line) or self._format(line) for line in lines])

    def read(self, body: bytes) -> list[NodeLine]:
        """Every good line, in order. A bad one is counted and skipped, whatever stands in it."""
        lines: list[NodeLine] = []
        pieces = body.split(b"\n", MAX_LINES)
        if len(pieces) > MAX_LINES and pieces.pop().strip():
            self._drops["node_lines_too_many"] += 1
        for piece in pieces:
            text = piece.strip(b" \t\r\0")
            if text:
                line = self._read.get(text) or self._parse(text)
                if line is not None:
                    lines.append(line)
        return lines

    def _format(self, line: NodeLine) -> bytes:
        if not is_ip(line.uri.host):
            return b""
        word = "disabled" if line.status is NodeStatus.DISABLED else "active"
        instance = f";instance={line.instance}" if line.instance else ""
        suspect = f";suspect={line.suspect}" if line.suspect else ""
        text = f"{line.written or line.uri};status={word}{instance}{suspect}\r\n".encode()
        return _keep(self._written, line, text)

    def _parse(self, text: bytes) -> NodeLine | None:
        try:
            whole = text.decode("utf-8", "surrogateescape")
            sip = SipURI.parse(whole)
            uri = NodeURI.from_sip(sip)
        except URIError:
            self._drops["node_line_bad"] += 1
            return None
        # A line without a status says that there is a node: what that is worth is found out first-hand.
        status = STATUS_WORDS.get(sip.params.get("status", "active").lower())
        if status is None:
            self._drops["node_line_unknown_status"] += 1
            return None
        instance = sip.params.get("instance", "")[:MAX_INSTANCE]
        suspect = _count(sip.params["suspect"]) if "suspect" in sip.params else 0
        line = NodeLine(uri, status, instance if instance.isalnum() else "", suspect, as_written(whole))
        return _keep(self._read, text, line)


def _count(text: str) -> int:
    """How often somebody was asked in vain; version 0.1 writes 1, whatever it was."""
    return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) <= 2 else 1


def _keep(memory: dict[_Key, _Value], key: _Key, value: _Value) -> _Value:
    if len(memory) >= MAX_KEPT:
        memory.clear()
    memory[key] = value
    return value
