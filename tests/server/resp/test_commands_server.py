"""INFO, COMMAND, CONFIG."""

from __future__ import annotations

import pytest

from tests.server.fakes import make_session
from tests.server.resp.saying import NOT_INTEGER, Transcript, hold, say

TRANSCRIPTS: dict[str, Transcript] = {
    "settings": [
        ("CONFIG GET save appendonly", ["save", "", "appendonly", "no"]),
        ("CONFIG GET databases", ["databases", "2"]),
        ("CONFIG SET save x", "ERR unknown subcommand 'SET'. Try CONFIG HELP."),
        ("CONFIG GET", "ERR wrong number of arguments for 'config|get' command"),
        ("WAIT x 1", NOT_INTEGER),
        ("WAIT -1 1", 0),
        ("WAIT 1 -1", "ERR timeout is negative"),
    ],
}


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_transcript(name: str) -> None:
    hold(TRANSCRIPTS[name])


def test_info_has_sections_and_one_line_for_each_table() -> None:
    session = make_session()
    say(session, "SET", "a", "1")
    say(session, "GET", "a")
    session.shared.node.bus.counters.messages["htable", "in", "200"] += 2
    info = str(say(session, "INFO"))
    assert "# Server\r\nredis_version:7" in info
    assert "# Keyspace\r\ndb0:keys=1,name=cache,characters=2\r\n" in info
    assert "keyspace_hits:1\r\n" in info
    assert "connected_slaves:1\r\n" in info
    assert "messages_htable_in_200:2\r\n" in info
    assert str(say(session, "INFO", "clients")) == "# Clients\r\nconnected_clients:1\r\n"


def test_command_describes_itself() -> None:
    session = make_session()
    names = say(session, "COMMAND", "LIST")
    assert isinstance(names, list)
    assert say(session, "COMMAND", "COUNT") == len(names)
    assert {"get", "command", "info", "exec", "dmq.nodes"} <= set(names)
    assert say(session, "COMMAND", "INFO", "get", "nope") == [
        ["get", 2, ["readonly", "fast"], 1, 1, 1, [], [], [], []],
        None,
    ]
    everything = say(session, "COMMAND")
    assert isinstance(everything, list) and len(everything) == len(names)
    docs = say(session, "COMMAND", "DOCS", "get")
    assert isinstance(docs, list) and docs[0] == "get" and "Returns the value" in docs[1][1]
    assert "unknown subcommand" in str(say(session, "COMMAND", "FOO"))


def test_what_is_asked_at_once_is_bounded() -> None:
    session = make_session()
    long = "*a" * 2049
    for command in (("KEYS", long), ("SCAN", "0", "MATCH", long), ("CONFIG", "GET", long)):
        assert say(session, *command) == "ERR a pattern has at most 4096 characters, this one has 4098"
    assert say(session, "KEYS", "*a" * 2048) == []
    for what in (("COMMAND", "INFO"), ("COMMAND", "DOCS"), ("CONFIG", "GET")):
        assert "at most 1000" in say(session, *what, *["get"] * 1001)
    assert len(say(session, "COMMAND", "INFO", *["get"] * 900)) == 900
