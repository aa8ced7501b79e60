"""The commands on single keys as an operator runs them."""

from __future__ import annotations

import io
import json
import sys

import pytest

from tests.cli.running import Ran, Run
from tests.server.fakes import FakeNode


def test_set_and_get(on_node: Run) -> None:
    assert on_node("set", "cache", "a", "hello") == Ran(0, "", "")
    assert on_node("get", "cache", "a") == Ran(0, "hello\n", "")
    assert on_node("get", "0", "a").out == "hello\n"
    assert json.loads(on_node("get", "cache", "a", "--json").out) == {
        "key": "a",
        "value": "hello",
        "ttl": None,
    }


def test_a_missing_key_ends_with_1_and_prints_nothing(on_node: Run) -> None:
    assert on_node("get", "cache", "nope") == Ran(1, "", "")
    assert on_node("get", "cache", "nope", "--json") == Ran(1, "", "")


def test_set_with_its_options(on_node: Run, node: FakeNode) -> None:
    on_node("set", "cache", "n", "-5", "--int", "--ttl", "1.5")
    assert node.tables["cache"].get("n") == -5
    assert node.tables["cache"].ttl("n") == 1.5
    assert on_node("set", "cache", "n", "five", "--int").err == (
        "dmqcache: value is not an integer or out of range\n"
    )
    on_node("set", "users", "u", "x", "--ttl", "0")
    assert node.tables["users"].ttl("u") is None


def test_a_value_from_standard_input_keeps_its_bytes(
    on_node: Run, node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a\xff\n")))
    on_node("set", "cache", "a", "-")
    assert node.tables["cache"].get("a") == "a\udcff\n"
    assert on_node("get", "cache", "a").out == "a\udcff\n\n"


def test_set_waits_for_other_nodes(on_node: Run, node: FakeNode) -> None:
    assert on_node("set", "cache", "a", "x", "--wait", "1", "--timeout", "2") == Ran(0, "", "")
    assert node.waits == [(1, 2.0)]
    short = on_node("set", "cache", "a", "x", "--wait", "2", "--timeout", "0.5")
    assert short == Ran(1, "", "dmqcache: set, but only 1 of 2 nodes have it after 0.5 s\n")
    assert json.loads(on_node("set", "cache", "a", "x", "--wait", "1", "--json").out)["nodes"] == 1


def test_delete(on_node: Run) -> None:
    for key in ("a", "b", "call-1", "call-2"):
        on_node("set", "cache", key, f"value of {key}")
    assert on_node("delete", "cache", "a", "nope") == Ran(0, "1\n", "")
    assert on_node("delete", "cache", "a") == Ran(1, "0\n", "")
    assert on_node("delete", "cache", "--regex", "^call-[0-9]$").out == "2\n"
    assert json.loads(on_node("delete", "cache", "--contains", "of b", "--values", "--json").out) == {
        "deleted": 1
    }


def test_delete_wants_keys_or_one_pattern(on_node: Run) -> None:
    assert on_node("delete", "cache").code == 2
    assert on_node("delete", "cache", "a", "--prefix", "b").code == 2
    assert on_node("delete", "cache", "--suffix", "a", "--prefix", "b").err == (
        "dmqcache: only one pattern at a time\n"
    )


def test_incr(on_node: Run) -> None:
    assert on_node("incr", "cache", "n").out == "1\n"
    assert on_node("incr", "cache", "n", "41").out == "42\n"
    assert on_node("incr", "cache", "n", "-2").out == "40\n"
    assert json.loads(on_node("incr", "cache", "n", "--json").out) == {"key": "n", "value": 41}
    assert on_node("incr", "cache", "n", "much").code == 2


def test_raw_is_the_bytes_and_nothing_else(on_node: Run, node: FakeNode) -> None:
    node.tables["cache"].set("a", "x\udcff\0y")
    assert on_node("get", "cache", "a", "--raw") == Ran(0, "x\udcff\0y", "")
    assert on_node("get", "cache", "a", "--raw", "--json").code == 2
    assert on_node("get", "cache", "nope", "--raw") == Ran(1, "", "")


def test_a_missing_key_says_so_to_people(on_node: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dmqcache.cli.render.choose", lambda as_json: "people")
    assert on_node("get", "cache", "nope") == Ran(1, "", "dmqcache: no key 'nope' in table 'cache'\n")


def test_a_host_alone_is_a_node_on_the_default_port(on_node: Run) -> None:
    for given, meant in (("127.0.0.9", "127.0.0.9:6380"), ("::1", "[::1]:6380"), ("[::1]", "[::1]:6380")):
        assert f"no node answers at {meant}" in on_node("get", "cache", "a", "--node", given).err
    said = on_node("get", "cache", "a", "--node", "sip:10.0.0.1:5060").err
    assert "is its address on the bus; the commands use its client address, like 127.0.0.1:6380" in said


@pytest.mark.parametrize(
    ("args", "meant"),
    [
        (["set", "cache", "a", "b", "--tttl", "5"], "--ttl"),
        (["incr", "cache", "a", "1", "--nodes", "x"], "--node"),
        (["gett", "cache", "a"], "get"),
    ],
)
def test_what_may_have_been_meant(run: Run, args: list[str], meant: str) -> None:
    ran = run(*args)
    said = ran.err.lower().replace("'", "")
    assert ran.code == 2 and said.count(f"did you mean {meant}?") == 1
