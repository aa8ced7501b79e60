"""How much of the machine's memory the process uses."""

from __future__ import annotations

import os
from pathlib import Path


def resident_bytes() -> int | None:
    """The resident set of this process; None where the system does not tell (no ``/proc``)."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGESIZE")
