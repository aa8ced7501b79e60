"""Keys: delete, times to live, listing."""

from __future__ import annotations

import pytest

from tests.server.resp.saying import Transcript, hold

TRANSCRIPTS: dict[str, Transcript] = {}


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_transcript(name: str) -> None:
    hold(TRANSCRIPTS[name])
