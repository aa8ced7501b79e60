"""One command run: arguments counted, errors told, and never an exception."""

from __future__ import annotations

import pytest

from dmqcache.server.resp.command_table import COMMANDS
from tests.server.fakes import make_session
from tests.server.resp.saying import say


def test_the_arguments_of_every_command_are_counted() -> None:
    session = make_session()
    for name, command in COMMANDS.items():
        if abs(command.arity) > 1:
            too_few = [name] + ["x"] * (abs(command.arity) - 2)
            expected = f"ERR wrong number of arguments for '{name.lower()}' command"
            assert say(session, *too_few) == expected, name


# Transcripts: a line of words and the reply it gets, one after the other on one new connection.


def test_what_the_table_does_not_hold_is_said_in_its_words() -> None:
    session = make_session()
    assert str(say(session, "SET", "", "v")).startswith("ERR a key is a text")
    assert "at most 1048576 bytes" in str(say(session, "SET", "k", "v" * (1 << 21)))
    assert str(say(session, "DMQ.MATCH", "regex", "name", "(")).startswith("ERR ")


def test_a_command_that_breaks_is_an_error_reply_and_a_log_line(caplog: pytest.LogCaptureFixture) -> None:
    session = make_session()
    session.table = None  # type: ignore[assignment]
    assert say(session, "GET", "a") == "ERR internal error, see the node's log"
    assert "a command failed" in caplog.text
    assert session.shared.counters.errors == 1
