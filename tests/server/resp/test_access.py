"""What commands are to the rules: categories, keys with what is done to them, tables."""

from __future__ import annotations

import pytest

from dmqcache.server.resp.access import (
    FREE,
    categories,
    channels_of,
    is_of_table,
    keys_of,
    on_all_keys,
    records_of,
)
from dmqcache.server.resp.acl import CATEGORIES
from dmqcache.server.resp.command import Command
from dmqcache.server.resp.command_table import COMMANDS


def found(line: str) -> tuple[Command, list[str]]:
    args = line.split()
    command = COMMANDS[args[0]]
    return (command.subcommands[args[1]] if command.subcommands else command), args


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("GET a", [("a", "r")]),
        ("SET a 1 EX 5", [("a", "w")]),
        ("SET a 1 EX 5 get", [("a", "rw")]),
        ("SET a GET", [("a", "w")]),
        ("MSET a 1 b 2", [("a", "w"), ("b", "w")]),
        ("DEL a b", [("a", "w"), ("b", "w")]),
        ("INCR a", [("a", "rw")]),
        ("EXISTS a b", [("a", ""), ("b", "")]),
        ("TTL a", [("a", "r")]),
        ("COPY a b", [("a", "r"), ("b", "w")]),
        ("RENAME a b", [("a", "rw"), ("b", "w")]),
        ("BITOP AND c a b", [("c", "w"), ("a", "r"), ("b", "r")]),
        ("BITFIELD a GET u8 0", [("a", "r")]),
        ("BITFIELD a SET u8 0 1", [("a", "rw")]),
        ("MEMORY USAGE a", [("a", "")]),
        ("DMQ.CELL a", [("a", "r")]),
        ("DMQ.CONTACTS alice", [("usrloc:alice", "r")]),
        ("DMQ.CONTACTS", []),
        ("FLUSHDB", []),
    ],
)
def test_keys_and_what_is_done_to_them(line: str, expected: list[tuple[str, str]]) -> None:
    assert keys_of(*found(line)) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("GET a", "read string fast"),
        ("SET a", "write string slow"),
        ("KEYS *", "keyspace read slow dangerous"),
        ("FLUSHALL", "keyspace write slow dangerous"),
        ("CLIENT KILL", "admin slow dangerous connection"),
        ("CONFIG GET", "admin slow dangerous"),
        ("MULTI", "fast transaction"),
        ("DMQ.REMOVE", "write slow dangerous"),
    ],
)
def test_categories(line: str, expected: str) -> None:
    assert categories(found(line)[0]) == set(expected.split())


def test_every_category_is_one_of_redis() -> None:
    for command in COMMANDS.values():
        for one in (command, *command.subcommands.values()):
            assert categories(one) <= set(CATEGORIES)
    assert {name for name in COMMANDS if name in FREE} == FREE


def test_commands_over_all_keys_and_about_the_selected_table() -> None:
    whole = {name: on_all_keys(command, [name]) for name, command in COMMANDS.items()}
    assert whole["DMQ.SCAN"] == whole["dmq.match"] == ("r", "") and whole["DMQ.REMOVE"] == ("w", "")
    assert whole["GET"] is whole["SCAN"] is None
    assert is_of_table(COMMANDS["GET"]) and is_of_table(COMMANDS["FLUSHDB"])
    assert not is_of_table(COMMANDS["PING"]) and not is_of_table(COMMANDS["DMQ.NODES"])


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("PUBLISH a b", ["a"]),
        ("SUBSCRIBE a b", ["a", "b"]),
        ("PSUBSCRIBE a* b", ["a*", "b"]),
        ("UNSUBSCRIBE a", []),
        ("DMQ.SEND a sip:127.0.0.1 x", ["dmq:a"]),
        ("DMQ.CHANNEL", []),
        ("GET a", []),
    ],
)
def test_channels(line: str, expected: list[str]) -> None:
    assert channels_of(*found(line)) == expected


@pytest.mark.parametrize(
    ("line", "mirror", "whole"),
    [
        ("DMQ.CONTACTS", "usrloc", ("r", "usrloc:")),
        ("DMQ.CONTACTS alice", "usrloc", None),
        ("DMQ.CALLS alice", "dialog", ("r", "")),
        ("DMQ.PRESENTITIES", "presence", ("r", "")),
        ("DMQ.WATCHERS", "presence", ("r", "")),
        ("DMQ.NODES", None, None),
    ],
)
def test_what_mirrors_keep_is_a_table_to_the_rules(
    line: str, mirror: str | None, whole: tuple[str, str] | None
) -> None:
    command, args = found(line)
    assert (records_of(command), on_all_keys(command, args)) == (mirror, whole)
