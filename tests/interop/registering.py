"""Many phones at once, as sipp would play them: REGISTERs over UDP, a bounded number unanswered.

The fields of each are those of ``Kamailio.register``; how many contacts a registrar has, it says itself.
"""

import socket
import time
from collections.abc import Iterator
from typing import Final

from tests.interop.kamailio import Kamailio, RPCError

#: REGISTERs that are not answered yet.
UNDER_WAY: Final = 50
#: Seconds until one is repeated (RFC 3261's T1).
REPEAT_S: Final = 0.5
GIVE_UP_S: Final = 30.0
EXPIRES_S: Final = 3600


def register_many(registrar: Kamailio, users: list[str]) -> float:
    """A REGISTER of one contact for each user; monotonic seconds of the last 200. RPCError for another
    answer, TimeoutError if none comes."""
    waiting: dict[str, tuple[float, bytes]] = {}
    left = iter(users)
    place = (registrar.host, registrar.port)
    heard = time.monotonic()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phones:
        phones.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        phones.settimeout(REPEAT_S / 5)
        while True:
            for user, request in _next(registrar.host, left, UNDER_WAY - len(waiting)):
                waiting[user] = time.monotonic(), request
                phones.sendto(request, place)
            if not waiting:
                return heard
            try:
                user = _answered(phones.recv(65_535))
            except TimeoutError:
                user = ""
            now = time.monotonic()
            if waiting.pop(user, None) is not None:
                heard = now
            if now - heard > GIVE_UP_S:
                raise TimeoutError(f"{len(waiting)} REGISTERs are not answered")
            for late, (sent, request) in list(waiting.items()):
                if now - sent > REPEAT_S:
                    waiting[late] = now, request
                    phones.sendto(request, place)


def _next(host: str, left: Iterator[str], count: int) -> Iterator[tuple[str, bytes]]:
    for _ in range(count):
        user = next(left, None)
        if user is None:
            return
        yield user, _register(host, user)


def _register(host: str, user: str) -> bytes:
    return (
        f"REGISTER sip:{host} SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP {host};rport;branch=z9hG4bK-{user}\r\n"
        f"From: <sip:{user}@{host}>;tag={user}\r\nTo: <sip:{user}@{host}>\r\n"
        f"Call-ID: {user}@phone\r\nCSeq: 1 REGISTER\r\nMax-Forwards: 70\r\n"
        f"Contact: <sip:{user}@192.0.2.7:5070>\r\nExpires: {EXPIRES_S}\r\nContent-Length: 0\r\n\r\n"
    ).encode()


def _answered(answer: bytes) -> str:
    """Whose REGISTER was answered."""
    if not answer.startswith(b"SIP/2.0 200 "):
        raise RPCError(f"a REGISTER was answered {answer[:80]!r}")
    return answer.partition(b"\r\nCall-ID: ")[2].partition(b"@")[0].decode()


def contact_count(registrar: Kamailio) -> int:
    """How many contacts a registrar has, of so many addresses of record: the lesser number."""
    found = registrar.rpc("stats.get_statistics", "usrloc:")
    counts = dict(line.replace(" ", "").split("=") for line in found)
    return min(int(counts[f"usrloc:location_{what}"]) for what in ("contacts", "users"))
