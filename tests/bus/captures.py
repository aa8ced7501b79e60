"""The datagrams of real Kamailio nodes in tests/vectors."""

from __future__ import annotations

import json
from pathlib import Path

VECTORS = Path(__file__).parent.parent / "vectors"
#: (file and line, datagram)
CAPTURED = [
    (f"{path.stem}:{number}", json.loads(line)["datagram"].encode("latin-1"))
    for path in sorted(VECTORS.glob("*.jsonl"))
    for number, line in enumerate(path.read_text().splitlines(), 1)
]
DATAGRAMS = [datagram for _, datagram in CAPTURED]
