"""What holds where nobody says otherwise: each default that more than one part needs, once.

The options of ``serve`` show them (``config/options.py``), and a bus or a table that a program makes by
itself has them too. Owns no meaning: that stands with the option. Imports nothing, so every part may use it.
"""

from __future__ import annotations

from typing import Final

#: Seconds. Also the least that Kamailio documents for it.
PING_INTERVAL: Final = 60.0
#: Seconds.
PROBE_INTERVAL: Final = 1.0
#: Seconds.
REMOVE_INACTIVE: Final = 300.0
NUM_WORKERS: Final = 2
#: Seconds. RFC 3261 17.1.1.1: the round trip that a stranger is assumed to have.
T1: Final = 0.5
#: Seconds. RFC 3261 17.1.2.2: the longest pause between two sends of a non-INVITE request.
T2: Final = 4.0
#: The channel of the node list, as all nodes have it.
NOTIFICATION_CHANNEL: Final = "notification_peer"
#: Bytes of a value as JSON: what one SIP message carries beside its headers without a thought about memory.
MAX_VALUE_BYTES: Final = 1 << 20
#: Seconds for which a delete is remembered at least.
TOMBSTONE_TTL: Final = 900.0
#: Deletes of a table that are remembered at most.
TOMBSTONE_LIMIT: Final = 100_000
#: Where Redis clients connect, and HTTP.
CLIENT_PORT: Final = 6380
HTTP_PORT: Final = 9180
