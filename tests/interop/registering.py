"""Many phones at once, as sipp plays them: REGISTERs over UDP, a bounded number unanswered.

The fields of each are those of ``Kamailio.register``; how many contacts a registrar has, it says itself.
"""

import time
from typing import Final

from tests.interop.kamailio import Kamailio
from tests.interop.sipp_phones import register

#: REGISTERs that are not answered yet.
UNDER_WAY: Final = 50


def register_many(registrar: Kamailio, users: list[str]) -> float:
    """A REGISTER of one contact for each user; monotonic seconds of the last 200: sipp ends with it.
    AssertionError if one is answered otherwise, or not at all."""
    register((registrar.host, registrar.port), users, UNDER_WAY)
    return time.monotonic()


def contact_count(registrar: Kamailio) -> int:
    """How many contacts a registrar has, of so many addresses of record: the lesser number."""
    found = registrar.rpc("stats.get_statistics", "usrloc:")
    counts = dict(line.replace(" ", "").split("=") for line in found)
    return min(int(counts[f"usrloc:location_{what}"]) for what in ("contacts", "users"))
