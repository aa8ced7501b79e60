"""COMMAND: what it tells of the commands."""

from __future__ import annotations

from dmqcache.server.resp.command_table import COMMANDS
from tests.server.fakes import make_session
from tests.server.resp.saying import say


def test_it_describes_all() -> None:
    session = make_session()
    names = say(session, "COMMAND", "LIST")
    assert isinstance(names, list)
    assert say(session, "COMMAND", "COUNT") == len(names)
    assert {"get", "command", "info", "exec", "dmq.nodes"} <= set(names)
    assert say(session, "COMMAND", "INFO", "get", "nope") == [
        ["get", 2, ["readonly", "fast"], 1, 1, 1, ["@read", "@string", "@fast"], [], [], []],
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
    for what in (("COMMAND", "INFO"), ("COMMAND", "DOCS")):
        assert "at most 1000" in say(session, *what, *["get"] * 1001)
    assert len(say(session, "COMMAND", "INFO", *["get"] * 900)) == 900


def test_subcommands_are_told_too() -> None:
    session = make_session()
    (described,) = say(session, "COMMAND", "INFO", "client")
    assert {one[0] for one in described[9]} >= {"client|id", "client|list", "client|help"}
    assert say(session, "COMMAND", "INFO", "client|id")[0][:2] == ["client|id", 2]
    assert say(session, "CLIENT", "HELP")[0].startswith("CLIENT <subcommand>")


def test_keys_of_a_command() -> None:
    session = make_session()
    assert say(session, "COMMAND", "GETKEYS", "MSET", "a", "1", "b", "2") == ["a", "b"]
    assert say(session, "COMMAND", "GETKEYS", "OBJECT", "ENCODING", "a") == ["a"]
    assert say(session, "COMMAND", "GETKEYS", "NOPE", "a") == "ERR Invalid command specified"
    assert say(session, "COMMAND", "GETKEYS", "ECHO", "a") == "ERR The command has no key arguments"
    assert "Invalid number" in say(session, "COMMAND", "GETKEYS", "GET", "a", "b")


def test_names_by_pattern_and_category() -> None:
    session = make_session()
    assert say(session, "COMMAND", "LIST", "FILTERBY", "PATTERN", "*setnx") == ["setnx", "msetnx"]
    assert "multi" in say(session, "COMMAND", "LIST", "FILTERBY", "ACLCAT", "transaction")
    assert say(session, "COMMAND", "LIST", "FILTERBY", "MODULE", "x") == []


def test_every_command_is_found_in_both_cases() -> None:
    assert COMMANDS["GET"] is COMMANDS["get"]
