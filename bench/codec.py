"""What one message costs in the codec: SIP alone, Kamailio's JSON, our rows. No rival does this in Python."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from dmqcache.bus.sip.serialize import Author, Draft, DraftReply, build_request, build_response
from dmqcache.bus.sip.sip_message import parse_message
from dmqcache.store.kamailio.dialect import KAMAILIO5
from dmqcache.store.kamailio.wire_read import read
from dmqcache.store.kamailio.wire_write import write_set
from dmqcache.store.native.native_message import decode, encode_rows

_ROWS = [(f"user{number:06}", f"value-{number}", (1_700_000_000_000 << 16) + number) for number in range(300)]


def _request(body: bytes) -> bytes:
    author = Author("127.0.0.2:5060", "0123456789abcdef", "dmqcache", (("Supported", "dmqcache-2"),))
    draft = Draft(
        "KDMQ",
        "sip:htable@127.0.0.1:5060",
        "sip:htable@127.0.0.2:5060",
        "sip:htable@127.0.0.1:5060",
        "udp",
        "z9hG4bK0123456789abcdef",
        "0123456789abcdef@127.0.0.2",
        1,
        1,
        "application/json",
        body,
    )
    return build_request(author, draft)


def microseconds(call: Callable[[], object], repeat: int = 2_000) -> float:
    """The median of seven series."""
    series = []
    for _ in range(7):
        began = time.perf_counter()
        for _ in range(repeat):
            call()
        series.append((time.perf_counter() - began) / repeat * 1e6)
    return statistics.median(series)


def costs() -> dict[str, float]:
    """Microseconds for each kind of message."""
    one = write_set("users", "user000001", "value-1", None, KAMAILIO5)
    rows = encode_rows({"users": _ROWS}, {}, False)
    request = _request(one)
    parsed = parse_message(request)
    assert not hasattr(parsed, "status")
    return {
        "write a KDMQ request": microseconds(lambda: _request(one)),
        "read a KDMQ request": microseconds(lambda: parse_message(request)),
        "write its 200": microseconds(
            lambda: build_response(parsed, DraftReply(200, to_tag="tag", server="dmqcache"))  # type: ignore[arg-type]
        ),
        "write one Kamailio set": microseconds(
            lambda: write_set("users", "user000001", "value-1", None, KAMAILIO5)
        ),
        "read one Kamailio set": microseconds(lambda: read(one)),
        "write 300 rows, each": microseconds(lambda: encode_rows({"users": _ROWS}, {}, False), 50) / 300,
        "read 300 rows, each": microseconds(lambda: decode(rows), 50) / 300,
    }


if __name__ == "__main__":
    for name, cost in costs().items():
        print(f"{name:26} {cost:8.2f} us")
