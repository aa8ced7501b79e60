"""The commands that list."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time

import pytest

from dmqcache.peers.dialog_peer import DialogPeer
from dmqcache.peers.presence_peer import PresencePeer
from dmqcache.peers.usrloc_peer import UsrlocPeer
from tests.cli.running import Run
from tests.peers.recordings import bodies
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


def test_the_columns_of_a_pipe_are_those_that_the_help_names(on_node: Run) -> None:
    for command in ("tables", "nodes"):
        told = " ".join(on_node(command, "--help").out.split())
        columns = told.partition("without a header: ")[2].partition(".")[0].split(", ")
        names = [name.partition(" (")[0].replace(" ", "_") for name in columns]
        row = json.loads(on_node(command, "--json").out)[0]
        assert names == [name.removesuffix("_s").removesuffix("_ms") for name in row]


def test_what_is_too_wide_for_the_terminal_is_a_paragraph_for_each_row(
    on_node: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dmqcache.cli.render.choose", lambda as_json: "people")
    monkeypatch.setenv("COLUMNS", "80")
    for command in ("nodes", "tables"):
        shown = on_node(command).out
        assert max(map(len, shown.splitlines())) <= 80
    assert "sip:127.0.0.12:5060\n  status: active" in on_node("nodes").out
    monkeypatch.setenv("COLUMNS", "300")
    assert on_node("nodes").out.splitlines()[0].split()[:2] == ["uri", "status"]


def test_calls_and_publications(node: FakeNode, on_node: Run) -> None:
    assert "without --peer dialog" in on_node("calls").err
    calls, published = DialogPeer(), PresencePeer()
    node.peers = {"dialog": calls, "presence": published}
    began = int(time.time())
    for body in bodies("6.1.5", "dialog", "127.0.0.82"):
        calls.hear(re.sub(rb'_ts":1\d+', b'_ts":%d' % began, body), began)
    for body in bodies("6.1.5", "presence"):
        published.hear(re.sub(rb'recv":1\d+', b'recv":%d' % began, body), began)
    said = on_node("calls", "dave").out
    parts = r"call2@127\.0\.0\.98\ttalking\tsip:carol@example\.com\tsip:dave@example\.com\t\d+\t"
    assert re.fullmatch(parts + r"outbound, caller=sip:carol@example\.com\n", said)
    rows = [json.loads(row) for row in on_node("calls", "--json").out.splitlines()]
    assert [row["to"] for row in rows] == ["sip:dave@example.com", "sip:heidi@example.com"]
    assert rows[0]["fields"]["tag2"] == "callee-call2"
    assert on_node("calls", "nobody") == (1, "", "")
    subscribed = next(body for body in bodies("6.1.5-subscriptions", "presence") if b'"action":3' in body)
    published.hear(re.sub(rb'expires":\d+', b'expires":%d' % (began + 600), subscribed), began)
    watched = "sip:bob@example.com\tsip:alice@127.0.0.80\tpresence\tactive\t"
    assert on_node("watchers", "bob@").out.startswith(watched)
    assert on_node("presentities").out.startswith("sip:carol@127.0.0.80\tpresence\ta.")
    assert "<presence" in json.loads(on_node("presentities", "--json").out)["document"]


def test_contacts(node: FakeNode, on_node: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "without --peer usrloc" in on_node("contacts").err
    peer = UsrlocPeer()
    node.peers = {"usrloc": peer}
    soon = int(time.time()) + 600
    for body in bodies("6.2+5.6", "usrloc"):
        if b'"action":1' in body:
            peer.hear(re.sub(rb'"expires":1\d+', b'"expires":%d' % soon, body), soon - 600)
    lines = on_node("contacts", "bob").out.splitlines()
    assert re.fullmatch(r"bob\tsip:bob@127\.0\.0\.99:5099\t\d{3}\tTestPhone/1\.0\t", lines[0])
    rows = [json.loads(row) for row in on_node("contacts", "--json").out.splitlines()]
    assert {row["aor"] for row in rows} >= {"alice", "bob"}
    assert on_node("contacts", "nobody") == on_node("contacts", "nobody", "--json") == (1, "", "")
    monkeypatch.setattr("dmqcache.cli.render.choose", lambda as_json: "people")
    assert on_node("contacts", "nobody") == (1, "", "dmqcache: no contacts of 'nobody'\n")
    node.peers = {"usrloc": UsrlocPeer()}
    assert on_node("contacts").code == 0
