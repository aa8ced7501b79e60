"""INFO, COMMAND, CONFIG."""

from __future__ import annotations

import pytest

from dmqcache.server.resp.command_table import execute
from tests.server.fakes import make_session
from tests.server.resp.saying import NOT_INTEGER, Transcript, hold

TRANSCRIPTS: dict[str, Transcript] = {
    "settings": [
        ("CONFIG GET save appendonly", ["save", "", "appendonly", "no"]),
        ("CONFIG GET databases", ["databases", "2"]),
        ("CONFIG GET", "ERR wrong number of arguments for 'config|get' command"),
        ("WAIT x 1", NOT_INTEGER),
        ("WAIT -1 1", 0),
        ("WAIT 1 -1", "ERR timeout is negative"),
        ("WAITAOF 0 0 1", [0, 0]),
        ("WAITAOF 2 0 1", "ERR value is out of range, must be positive"),
        ("WAITAOF 0 0 -1", "ERR timeout is negative"),
        (
            "WAITAOF 1 0 1",
            "ERR WAITAOF cannot be used when numlocal is set but the node has no data_dir.",
        ),
    ],
}


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_transcript(name: str) -> None:
    hold(TRANSCRIPTS[name])


def test_texts_for_people_are_such_in_resp3() -> None:
    session = make_session()
    session.resp3 = True
    for command in (["INFO", "cluster"], ["CLIENT", "LIST"], ["CLIENT", "INFO"]):
        reply = execute(session, command)
        assert isinstance(reply, bytes) and reply.startswith(b"=") and b"\r\ntxt:" in reply
