"""SUBSCRIBE and its family: what the client is told, and what a subscriber of RESP2 may still say. Beside a
real Redis: ``test_pubsub_beside_redis.py``."""

from __future__ import annotations

from tests.server.fakes import FakeNode, make_session
from tests.server.resp.saying import say


def test_who_subscribes_in_resp2_only_listens() -> None:
    session = make_session()
    assert say(session, "SUBSCRIBE", "a") == ["subscribe", "a", 1]
    assert say(session, "GET", "a") == (
        "ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed "
        "in this context"
    )
    assert say(session, "PING") == ["pong", ""]
    assert say(session, "PING", "x") == ["pong", "x"]
    assert say(session, "PSUBSCRIBE", "a*") == ["psubscribe", "a*", 2]
    assert say(session, "UNSUBSCRIBE") == ["unsubscribe", "a", 1]
    assert say(session, "PUNSUBSCRIBE", "a*") == ["punsubscribe", "a*", 0]
    assert say(session, "GET", "a") is None
    assert say(session, "PING") == "PONG"
    say(session, "SUBSCRIBE", "a")
    assert say(session, "RESET") == "RESET"
    assert say(session, "PUBSUB", "CHANNELS") == []
    assert not session.limited


def test_in_resp3_everything_is_allowed_and_nothing_left_is_told_as_nothing() -> None:
    session = make_session()
    say(session, "HELLO", "3")
    assert say(session, "UNSUBSCRIBE") == ["unsubscribe", None, 0]
    got: list[bytes] = []
    session.push = got.append
    say(session, "SUBSCRIBE", "a")
    assert say(session, "PUBLISH", "a", "x") == 1
    assert got == [b">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n"]
    assert say(session, "PUBSUB", "NUMSUB", "a", "b") == ["a", 1, "b", 0]
    assert say(session, "PSUBSCRIBE", "x" * 5_000).startswith("ERR a pattern has at most")
    assert say(session, "PUBSUB", "NUMPAT") == 0
    assert say(session, "HELLO", "2")
    assert session.limited


def test_what_is_published_is_told_to_the_other_nodes_and_bounded() -> None:
    node = FakeNode()
    session = make_session(node)
    assert say(session, "PUBLISH", "a", "x") == 0
    assert node.told == [("a", "x")]
    assert say(session, "PUBLISH", "a", "x" * 60_000).startswith("ERR a message has at most 60000 bytes")
    assert say(session, "PUBLISH", "dmq:alerts", "x").startswith("ERR no channel 'alerts'")
