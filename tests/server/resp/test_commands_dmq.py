"""Our own commands."""

from __future__ import annotations

import json

import pytest

from dmqcache.peers.dialog_peer import DialogPeer
from dmqcache.peers.presence_peer import PresencePeer
from dmqcache.peers.usrloc_peer import UsrlocPeer
from dmqcache.server.resp.command_table import execute
from dmqcache.store.table.changes import Changes
from tests.peers.recordings import bodies
from tests.server.fakes import FakeNode, FakeTime, make_session
from tests.server.resp.saying import OK, Transcript, hold, say
from tests.store.table.test_changes import Turns

TRANSCRIPTS: dict[str, Transcript] = {
    "patterns of our own": [
        ("MSET call-1 alice call-2 bob x-call carol", OK),
        ("DMQ.MATCH prefix name call", ["call-1", "call-2"]),
        ("DMQ.MATCH suffix name call", ["x-call"]),
        ("DMQ.MATCH REGEX NAME ^CALL-[12]$", ["call-1", "call-2"]),
        ("DMQ.MATCH contains value o", ["call-2", "x-call"]),
        ("DMQ.MATCH glob name x", "ERR DMQ.MATCH takes regex|prefix|suffix|contains name|value PATTERN"),
        ("DMQ.REMOVE prefix name call", 2),
        ("KEYS *", ["x-call"]),
        ("SET t v EX 5", OK),
        ("DMQ.CELL t", ["v", 5000]),
        ("DMQ.CELL nope", None),
        ("DMQ.SCAN 0", ["0", ["t", "v", 5000, "x-call", "carol", -1]]),
        ("DMQ.SCAN 0 PREFIX x COUNT 5", ["0", ["x-call", "carol", -1]]),
        ("DMQ.SCAN 0 COUNT 0", "ERR syntax error"),
        ("DMQ.SCAN 0 MATCH x", "ERR syntax error"),
    ],
}


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_transcript(name: str) -> None:
    hold(TRANSCRIPTS[name])


def test_the_node_tells_its_rows_as_json() -> None:

    session = make_session(FakeNode("cache", "users=>autoexpire=60;initval=5"))
    nodes = json.loads(str(say(session, "DMQ.NODES")))
    assert [row["uri"] for row in nodes] == ["sip:127.0.0.11:5060", "sip:127.0.0.12:5060"]
    tables = json.loads(str(say(session, "DMQ.TABLES")))
    assert [(row["table"], row["autoexpire"], row["initval"]) for row in tables] == [
        ("cache", 0, None),
        ("users", 60, 5),
    ]
    stats = json.loads(str(say(session, "DMQ.STATS")))
    assert stats["replication"]["sync_state"] == "done"


def test_a_cell_asked_for_is_a_hit_or_a_miss_and_a_listing_neither() -> None:
    session = make_session()
    say(session, "SET", "a", "1")
    counters = session.table.counters
    say(session, "DMQ.SCAN", "0")
    assert (counters.hits, counters.misses) == (0, 0)
    say(session, "DMQ.CELL", "nope")
    assert (counters.hits, counters.misses) == (0, 1)
    say(session, "DMQ.CELL", "a")
    assert (counters.hits, counters.misses) == (1, 1)
    say(session, "APPEND", "a", "b")
    assert (counters.hits, counters.misses) == (1, 1)


def test_watch_tells_what_changes_in_resp3_alone() -> None:
    node = FakeNode()
    session = make_session(node)
    assert say(session, "DMQ.WATCH").startswith("ERR DMQ.WATCH tells by messages")
    say(session, "HELLO", "3")
    turns = Turns()
    node.tables["cache"]._changes = Changes(node.tables["cache"], turns, print)
    got: list[bytes] = []
    session.push = got.append
    assert say(session, "DMQ.WATCH", "a") == say(session, "DMQ.WATCH", "a") == "OK"
    for key, value in (("a", "x"), ("ab", 5), ("b", "x")):
        node.tables["cache"].set(key, value)
    turns.turn()
    node.tables["cache"].delete("a")
    turns.turn()
    head = b">3\r\n$6\r\nchange\r\n"
    assert got == [
        head + b"$1\r\na\r\n$1\r\nx\r\n",
        head + b"$2\r\nab\r\n:5\r\n",
        head + b"$1\r\na\r\n_\r\n",
    ]
    for number in range(99):
        assert say(session, "DMQ.WATCH", f"k{number}") == "OK"
    assert say(session, "DMQ.WATCH", "more") == "ERR at most 100 watches"
    say(session, "RESET")
    assert not node.tables["cache"].is_watched


def test_calls_are_told_as_json_where_they_are_followed() -> None:
    node = FakeNode()
    session = make_session(node)
    refused = say(session, "DMQ.CALLS")
    assert "without --peer dialog" in str(refused)
    peer = DialogPeer()
    node.peers["dialog"] = peer
    for body in bodies("6.1.5", "dialog", "127.0.0.82"):
        peer.hear(body, 1_795_736_620.0)
    rows = [json.loads(row) for row in say(session, "DMQ.CALLS")]
    assert {row["call_id"]: row["state"] for row in rows}.keys() == {"call2@127.0.0.98", "call4@127.0.0.98"}
    assert rows[0]["fields"]["callid"] == rows[0]["call_id"]
    assert [json.loads(row)["to"] for row in say(session, "DMQ.CALLS", "dave")] == ["sip:dave@example.com"]
    assert say(session, "DMQ.CALLS", "nobody") == []
    assert "wrong number" in str(say(session, "DMQ.CALLS", "a", "b"))


def test_contacts_are_told_as_json_where_they_are_followed() -> None:
    node = FakeNode()
    session = make_session(node)
    assert "without --peer usrloc" in str(say(session, "DMQ.CONTACTS"))
    peer = UsrlocPeer()
    node.peers["usrloc"] = peer
    for body in bodies("6.2+5.6", "usrloc"):
        peer.hear(body, 1_795_687_400.0)
    rows = [json.loads(row) for row in say(session, "DMQ.CONTACTS")]
    assert [row["fields"]["ruid"] for row in rows] == [one.fields["ruid"] for one in peer.contacts()]
    aor = rows[0]["aor"]
    assert {json.loads(row)["aor"] for row in say(session, "DMQ.CONTACTS", aor)} == {aor}
    assert say(session, "DMQ.CONTACTS", "nobody") == []
    assert "wrong number" in str(say(session, "DMQ.CONTACTS", "a", "b"))


def test_publications_are_told_as_json_where_they_are_followed() -> None:
    node = FakeNode()
    session = make_session(node)
    assert "without --peer presence" in str(say(session, "DMQ.PRESENTITIES"))
    peer = PresencePeer()
    node.peers["presence"] = peer
    for body in bodies("6.1.5", "presence"):
        peer.hear(body, 1_795_736_620.0)
    (row,) = [json.loads(row) for row in say(session, "DMQ.PRESENTITIES", "carol")]
    assert (row["presentity"], row["event"]) == ("sip:carol@127.0.0.80", "presence")
    assert "<basic>open</basic>" in row["document"]
    assert say(session, "DMQ.PRESENTITIES", "nobody") == []
    assert "wrong number" in str(say(session, "DMQ.PRESENTITIES", "a", "b"))


def test_who_watches_is_told_as_json() -> None:
    node = FakeNode()
    session = make_session(node)
    assert "without --peer presence" in str(say(session, "DMQ.WATCHERS"))
    peer = PresencePeer()
    node.peers["presence"] = peer
    peer.hear(
        next(body for body in bodies("6.1.5-subscriptions", "presence") if b'"action":3' in body),
        1_795_736_600.0,
    )
    (row,) = [json.loads(row) for row in say(session, "DMQ.WATCHERS", "alice@")]
    assert (row["watcher"], row["status"]) == ("sip:bob@example.com", "active")
    assert say(session, "DMQ.WATCHERS", "nobody") == say(session, "DMQ.PRESENTITIES") == []
    assert "wrong number" in str(say(session, "DMQ.WATCHERS", "a", "b"))


class Ticking(FakeTime):
    """Each look at the clock takes a second, so that a step is over at once."""

    def now(self) -> float:
        self.seconds += 1
        return self.seconds


def test_a_search_among_calls_that_finds_none_gives_others_their_turn() -> None:
    node = FakeNode(time=Ticking())
    session = make_session(node)
    peer = DialogPeer()
    node.peers["dialog"] = peer
    for body in bodies("6.1.5", "dialog", "127.0.0.82"):
        peer.hear(body, 1_795_736_620.0)
    reply = execute(session, ["DMQ.CALLS", "nobody"])
    assert not isinstance(reply, bytes)
    reply.close()
    assert say(session, "DMQ.CALLS", "nobody") == []
