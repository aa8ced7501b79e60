"""The messages of RFC 4475 (SIP torture tests) and RFC 5118 (IPv6), by the names that they have there.

They are data of these RFCs, in ``tests/vectors/torture.txt`` with RFC 4475's own marks for bytes (``<hex>``)
and repetition. They were taken from the transcriptions that public tests of other SIP software have, not from
the archive in that RFC's appendix; the counts of longreq's repetitions are from memory; mpart01, whose body
is binary, is not among them. Where a length in RFC 5118 is not that of the body printed there, it is that
of the body.

The status behind a name is that of our answer to the message as it is, ``-`` for none. It is what the RFC
wants, but where it leaves the choice, or minds something in a request whose method is refused anyway: the
method comes first (RFC 3261 section 8.2.1). OPTIONS is answered whatever the Request-URI is (unkscm and
novelsc, 416 in the RFC), and the commas of baddn are borne with.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

_FILE: Final = Path(__file__).parents[2] / "vectors" / "torture.txt"
_HEX: Final = re.compile(rb"<hex>([0-9A-F]+)</hex>")
_REPEAT: Final = re.compile(rb"<repeat (\d+)>([^<]*)</repeat>")


def _read() -> dict[str, tuple[bytes, int]]:
    messages = {}
    for part in _FILE.read_bytes().split(b"=== ")[1:]:
        title, _, text = part.partition(b"\n")
        name, status = title.decode().split(" ")
        text = _REPEAT.sub(lambda match: match[2] * int(match[1]), text.replace(b"\n", b"\r\n"))
        text = _HEX.sub(lambda match: bytes.fromhex(match[1].decode()), text)
        messages[name] = (text, 0 if status == "-" else int(status))
    return messages


#: Name -> (message, status of the answer to it; 0 for none).
MESSAGES: Final = _read()
REQUESTS: Final = [name for name, (_, status) in MESSAGES.items() if status]


def as_kdmq(message: bytes) -> bytes:
    """The same request with our own method in the place of its own."""
    method = message.split(b" ", 1)[0]
    return message.replace(method + b" ", b"KDMQ ", 1).replace(b" " + method + b"\r\n", b" KDMQ\r\n")
