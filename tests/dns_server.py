"""A small DNS server for tests: it answers over UDP what a test tells it, in a thread of its own."""

import contextlib
import socket
import threading
from collections.abc import Mapping, Sequence

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

TTL_S = 1

Records = Mapping[tuple[str, str], Sequence[str]]
"""(name, type) -> its records, as a zone file has them: `("k.example", "A"): ["10.0.0.1"]`."""


class DnsServer:
    """Answers from `records`, which a test may change. A name that has none of any type does not exist."""

    def __init__(self, records: Records, host: str = "127.0.0.1", port: int = 0) -> None:
        self.records = dict(records)
        self.asked: list[tuple[str, str]] = []
        """Every question: name and type."""
        self.silent = False
        """Answer nothing, as a server that is down."""
        self._closed = False
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, port))
        self.host, self.port = self._socket.getsockname()
        self._thread = threading.Thread(target=self._serve, name=f"dns {host}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread and free the port."""
        if self._closed:
            return
        self._closed = True
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", (self.host, self.port))
        self._thread.join()
        self._socket.close()

    def __enter__(self) -> "DnsServer":
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _serve(self) -> None:
        while True:
            data, client = self._socket.recvfrom(65_535)
            if self._closed:
                return
            with contextlib.suppress(dns.exception.DNSException):
                answer = self._answer(dns.message.from_wire(data))
                if not self.silent:
                    self._socket.sendto(answer.to_wire(), client)

    def _answer(self, question: dns.message.Message) -> dns.message.Message:
        answer = dns.message.make_response(question, recursion_available=True)
        for asked in question.question:
            name, kind = asked.name.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(asked.rdtype)
            self.asked.append((name, kind))
            records = self.records.get((name, kind), ())
            if records:
                answer.answer.append(dns.rrset.from_text(asked.name, TTL_S, "IN", kind, *records))
            elif not any(known == name for known, _ in self.records):
                answer.set_rcode(dns.rcode.NXDOMAIN)
        return answer
