"""One line for a datagram, as people read transcripts."""

from __future__ import annotations

#: Characters of a body that are shown.
SHOWN = 240


def describe(data: bytes) -> str:
    """What a SIP message says, in short."""
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode("utf-8", "replace").split("\r\n")
    start = lines[0].removesuffix(" SIP/2.0").removeprefix("SIP/2.0 ")
    call = next((line[9:] for line in lines if line.startswith("Call-ID: ")), "")
    hops = next((line[14:] for line in lines if line.startswith("Max-Forwards: ")), "")
    tries = next((line.partition("try=")[2].split(";")[0] for line in lines if "try=" in line), "")
    text = body.decode("utf-8", "replace").replace("\r\n", " | ")
    if len(text) > SHOWN:
        text = f"{text[:SHOWN]}... ({len(body)} bytes)"
    extra = f" hops={hops}" if hops not in ("", "1") else ""
    again = f" try={tries}" if tries not in ("", "0") else ""
    return f"{start} [{call[-8:]}]{extra}{again} {text}"
