"""The section of presence: there where it is followed, and harmless whatever is published."""

from __future__ import annotations

import json

from dmqcache.peers.presence_peer import PresencePeer
from dmqcache.server.http.page_parts import MAX_ROWS
from dmqcache.server.http.page_presence import presence
from tests.peers.recordings import bodies
from tests.server.http.pages import WALL, outline
from tests.server.served import ServedNode


def followed() -> tuple[ServedNode, PresencePeer]:
    node, peer = ServedNode(), PresencePeer()
    node.peers = {"presence": peer}
    return node, peer


def publish(peer: PresencePeer, user: str, event: str = "presence", body: str = "<presence/>") -> None:
    presentity = {"domain": "example.com", "user": user, "etag": f"e-{user}", "expires": 75, "event": event}
    said = {"action": 1, "presentity": presentity | {"recv": int(WALL)}, "t_new": 1, "cur_etag": ""}
    peer.hear(json.dumps(said | {"ruid": "r", "body": body}).encode(), WALL)


def subscribe(peer: PresencePeer, **fields: object) -> None:
    heard = next(body for body in bodies("6.1.5-subscriptions", "presence") if b'"action":3' in body)
    told = json.loads(heard)["subscription"] | {"expires": int(WALL) + 75} | fields
    peer.hear(json.dumps({"action": 3, "subscription": told}).encode(), WALL)


def test_a_node_that_follows_no_presence_says_nothing_of_it() -> None:
    assert presence({}, WALL) == ""
    assert "Publications" not in outline(ServedNode()).text


def test_that_there_is_nothing_is_said_too() -> None:
    node, _ = followed()
    said = outline(node).by_id["presence"]
    assert said.count("None") == 4 and "enable_subs_dmq" in said


def test_publications_and_subscriptions_with_their_time() -> None:
    node, peer = followed()
    publish(peer, "alice")
    publish(peer, "bob", "dialog", body="")
    subscribe(peer)
    said = outline(node).by_id["presence"]
    for shown in ("sip:alice@example.com", "sip:bob@example.com", "e-alice", "11 B", "1 min 15 s"):
        assert shown in said
    for shown in ("active", "Publications by event", "Subscriptions by event", "dialog"):
        assert shown in said


def test_what_is_published_is_text_and_the_lists_are_bounded() -> None:
    node, peer = followed()
    for number in range(MAX_ROWS + 20):
        publish(peer, f"<script>{number}", event=f"<script>{number}")
        subscribe(peer, callid=str(number), watcher_user="<script>w")
    page = outline(node)
    assert page.seen.count("script") == outline(ServedNode()).seen.count("script")
    said = page.by_id["presence"]
    assert "sip:<script>0@example.com" in said and "sip:<script>w@" in said
    assert said.count("and 20 more") == 3
