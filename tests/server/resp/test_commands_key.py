"""Keys: delete, existence, types, copies, new names; test_like_redis compares them with a real Redis."""

from __future__ import annotations

import pytest

from tests.server.resp.saying import OK, Transcript, hold

TRANSCRIPTS: dict[str, Transcript] = {
    "delete and existence": [
        ("SET a 1", OK),
        ("EXISTS a a b", 2),
        ("TYPE a", "string"),
        ("TYPE b", "none"),
        ("DEL a b", 1),
        ("EXISTS a", 0),
    ],
    "copies and new names": [
        ("SET a 1", OK),
        ("COPY a b", 1),
        ("COPY a b", 0),
        ("COPY a a", "ERR source and destination objects are the same"),
        ("RENAME a c", OK),
        ("RENAMENX c b", 0),
        ("MGET a b c", [None, "1", "1"]),
        ("RENAME a b", "ERR no such key"),
    ],
}


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_transcript(name: str) -> None:
    hold(TRANSCRIPTS[name])
