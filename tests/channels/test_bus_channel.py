"""A DMQ channel: what a Kamailio sends is told to subscribers with its node and content type."""

from __future__ import annotations

import json

from dmqcache.bus.node import Node
from dmqcache.bus.peer import Message
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.channels.bus_channel import BusChannel, told

NODE = Node(NodeURI.parse("sip:127.0.0.13:5060"))


def message(node: Node | None) -> Message:
    assert NODE.uri.endpoint is not None
    return Message(
        channel="alerts",
        body=b"hello",
        content_type="text/plain",
        sender=NODE.uri,
        source=NODE.uri.endpoint,
        node=node,
        max_forwards=1,
        user_agent="",
        supported=frozenset(),
    )


def test_subscribers_get_node_type_and_body_and_the_answer_tells_whether_there_are_any() -> None:
    heard: list[tuple[str, str]] = []
    listening = 1

    def deliver(channel: str, body: str) -> int:
        heard.append((channel, body))
        return listening

    channel = BusChannel("alerts", "text/plain", deliver)
    assert channel.handle(message(NODE)).status == 200
    expected = {"node": "sip:127.0.0.13:5060", "content_type": "text/plain", "body": "hello"}
    assert [(name, json.loads(body)) for name, body in heard] == [("dmq:alerts", expected)]
    listening = 0
    assert channel.handle(message(NODE)).status == 202
    assert channel.handle(message(None)).status == 403
    assert len(heard) == 2


def test_any_bytes_are_told() -> None:
    assert json.loads(told("n", "a/b", b"\xff\x00")) == {
        "node": "n",
        "content_type": "a/b",
        "body_base64": "/wA=",
    }
    assert json.loads(told("n", "a\udcffb", "\u00e9\n".encode())) == {
        "node": "n",
        "content_type": "a?b",
        "body": "\u00e9\n",
    }
