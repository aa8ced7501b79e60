"""The section of calls: there where calls are followed, and harmless whatever callers call themselves."""

from __future__ import annotations

import json

from dmqcache.peers.dialog_peer import DialogPeer
from dmqcache.server.http.page_calls import calls
from dmqcache.server.http.page_parts import MAX_ROWS
from tests.peers.recordings import bodies
from tests.server.http.pages import WALL, outline
from tests.server.served import ServedNode


def followed() -> tuple[ServedNode, DialogPeer]:
    node, peer = ServedNode(), DialogPeer()
    node.peers = {"dialog": peer}
    return node, peer


def test_a_node_that_follows_no_calls_says_nothing_of_them() -> None:
    assert calls({}, WALL) == ""
    assert "Calls" not in outline(ServedNode()).text


def test_no_call_is_said_too() -> None:
    node, _ = followed()
    page = outline(node)
    assert "None." in page.by_id["calls"] and "No call is in a profile." in page.by_id["calls"]


def test_calls_with_their_state_and_the_sizes_of_profiles() -> None:
    node, peer = followed()
    for body in bodies("6.0.1", "dialog", "127.0.0.82"):
        said = json.loads(body)
        for name in ("init_ts", "start_ts"):
            if said.get(name):
                said[name] = int(WALL) - 75
        peer.hear(json.dumps(said).encode(), WALL)
    said = outline(node).by_id["calls"]
    for shown in ("sip:dave@example.com", "talking", "ringing", "1 min 15 s", "caller=sip:carol@example.com"):
        assert shown in said
    assert "call1@127.0.0.98" not in said, "it has ended"
    assert "outbound2" in said and "caller2" in said


def test_what_callers_say_is_text_and_the_list_is_bounded() -> None:
    node, peer = followed()
    first = json.loads(next(body for body in bodies("6.0.1", "dialog") if b"callid" in body))
    for number in range(MAX_ROWS + 20):
        first |= {"h_id": number, "callid": f"<script>{number}", "init_ts": int(WALL)}
        peer.hear(json.dumps(first).encode(), WALL)
    page = outline(node)
    assert page.seen.count("script") == outline(ServedNode()).seen.count("script")
    assert "<script>0" in page.by_id["calls"] and "and 20 more" in page.by_id["calls"]
