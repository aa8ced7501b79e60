"""The section of registrations: there where they are followed, and harmless whatever phones say."""

from __future__ import annotations

import json

from dmqcache.peers.usrloc_peer import UsrlocPeer
from dmqcache.server.http.page_contacts import contacts
from dmqcache.server.http.page_parts import MAX_ROWS
from tests.server.http.pages import WALL, outline
from tests.server.served import ServedNode


def followed(number: int, seconds: int = 75, **fields: object) -> ServedNode:
    node, peer = ServedNode(), UsrlocPeer()
    for each in range(number):
        said = {"action": 1, "aor": f"user{each}", "ruid": f"u-{each}", "c": f"sip:{each}@192.0.2.7"}
        said |= {"expires": int(WALL) + seconds, "last_modified": int(WALL)} | fields
        peer.hear(json.dumps(said).encode(), WALL)
    node.peers = {"usrloc": peer}
    return node


def test_a_node_that_follows_no_registrations_says_nothing_of_them() -> None:
    assert contacts({}, WALL) == ""
    assert "Contacts" not in outline(ServedNode()).text


def test_contacts_with_their_time_and_figures() -> None:
    assert "None." in outline(followed(0)).by_id["contacts"]
    said = outline(followed(2, user_agent="Phone/1")).by_id["contacts"]
    for shown in ("user1", "sip:1@192.0.2.7", "1 min 15 s", "Phone/1", "Addresses of record"):
        assert shown in said
    assert "never" in outline(followed(1, expires=0)).by_id["contacts"]


def test_what_phones_say_is_text_and_the_list_is_bounded() -> None:
    page = outline(followed(MAX_ROWS + 20, user_agent="<script>x"))
    assert page.seen.count("script") == outline(ServedNode()).seen.count("script")
    assert "<script>x" in page.by_id["contacts"] and "and 20 more" in page.by_id["contacts"]
