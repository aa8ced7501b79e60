"""The commands that list."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.cli.running import Run
from tests.server.fakes import FakeNode
from tests.server.serving import serving


def test_keys_and_dump(on_node: Run) -> None:
    for key, value in (("a\t1", "x\ny"), ("a2", "z"), ("b", "x")):
        on_node("set", "cache", key, value)
    on_node("set", "cache", "t", "9", "--int", "--ttl", "5")
    assert on_node("keys", "cache").out == "a\\t1\na2\nb\nt\n"
    assert on_node("keys", "cache", "a").out == "a\\t1\na2\n"
    assert on_node("keys", "cache", "--contains", "x", "--values").out == "a\\t1\nb\n"
    assert on_node("keys", "cache", "b", "--json").out == '"b"\n'
    assert on_node("dump", "cache").out == "a\\t1\tx\\ny\t\na2\tz\t\nb\tx\t\nt\t9\t5.0\n"
    assert json.loads(on_node("dump", "cache", "t", "--json").out) == {"key": "t", "value": 9, "ttl": 5.0}


def test_tables_nodes_and_stats(on_node: Run) -> None:
    assert [row["table"] for row in json.loads(on_node("tables", "--json").out)] == ["cache", "users"]
    assert [row["local"] for row in json.loads(on_node("nodes", "--json").out)] == [True, False]
    assert on_node("nodes").out.startswith("sip:127.0.0.11:5060\tactive\tyes\t")
    assert json.loads(on_node("stats", "--json").out)["replication"]["sync_state"] == "done"
    assert "replication.sync_state\tdone\n" in on_node("stats").out


def test_a_reader_that_has_seen_enough_is_no_error(node: FakeNode) -> None:
    for number in range(20_000):
        node.tables["cache"].set(f"key{number:06}", "x" * 50)
    with serving(node) as server:
        command = [
            sys.executable,
            "-m",
            "dmqcache",
            "dump",
            "cache",
            "--node",
            "{}:{}".format(*server.address),
        ]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout is not None and process.stderr is not None
        try:
            assert process.stdout.readline().startswith(b"key000000\t")
            process.stdout.close()
            assert process.stderr.read() == b""
            assert process.wait(20) == 0
        finally:
            process.kill()
            process.stderr.close()
