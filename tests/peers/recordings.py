"""What real Kamailio nodes said on the channels of their modules: the recordings in tests/vectors/peers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "vectors" / "peers"
#: The Kamailio releases of each channel's recordings.
DIALOG = ("5.6.3", "6.0.1", "6.1.5", "6.2.0-dev1")
PRESENCE = ("5.6.3", "6.0.1", "6.1.5")
#: What is published is in memory alone there (``publ_cache`` 2); the last tells subscriptions too.
PRESENCE_IN_MEMORY = ("5.6.3-memory", "6.0.1-memory", "6.1.5-memory", "6.1.5-subscriptions")
USRLOC = ("6.2.0-dev1", "6.2+5.6")


def bodies(release: str, channel: str, receiver: str = "") -> Iterator[bytes]:
    """The bodies of the requests on a channel, in their order; with ``receiver`` (an address) those to it."""
    for line in (FOLDER / f"kamailio-{release}-{channel}.jsonl").read_text().splitlines():
        datagram = json.loads(line)["datagram"]
        if datagram.startswith(f"KDMQ sip:{channel}@{receiver}"):
            yield datagram.partition("\r\n\r\n")[2].encode("latin-1")
