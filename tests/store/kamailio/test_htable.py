"""The ``htable`` channel, what comes: every action and batch, and what is kept of who left."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from dmqcache.bus.peer import Message, Reply
from dmqcache.bus.sip.uri import Endpoint
from dmqcache.store.kamailio import htable
from tests.store.harness import (
    NEW,
    Played,
    World,
    cells_body,
    old_kamailio,
    set_body,
    shown,
    with_kamailio,
)


def action(**fields: Any) -> dict[str, Any]:
    return {"htname": "t", **fields}


def test_every_action_of_a_kamailio_is_applied_and_told_to_nobody() -> None:
    world, side, kamailio = with_kamailio("t=>autoexpire=60")
    other = old_kamailio(world, "127.0.0.91")
    side.meet(other)
    world.run(6)
    other.got.clear()
    for key in ("ann", "anna", "bob", "carl", "dora"):
        assert kamailio.say(side, set_body(key, f"of {key}")).status == 200
    kamailio.say(side, set_body("n", 7))
    kamailio.say(side, action(action=3, cname="bob", type=0, intval=5, mode=0))
    kamailio.say(side, action(action=4, cname="carl", mode=0))
    kamailio.say(side, action(action=6, type=2, strval="an", mode=0))
    kamailio.say(side, action(action=5, type=2, strval="^OF D", mode=1))
    assert shown(side) == {"bob": "of bob", "n": 7}
    assert side.table.ttl("bob") == 5
    assert side.store.counters.changes["t", "kamailio"] == 11
    world.run(2)
    assert [body for body in other.seen() if body != {"action": 1}] == []


def test_a_batch_is_applied_cell_by_cell_and_the_bad_ones_are_counted() -> None:
    _world, side, kamailio = with_kamailio("t", "u")
    body = cells_body(("a", "x"), ("", "no key"), ("k" * 5000, "long"), ("n", 5))
    assert kamailio.say(side, body).status == 200
    assert kamailio.say(side, cells_body(("a", "x"), table="none")).status == 200
    broken = b'{"cells":[{"htname":"u","cname":"b","type":2,"strval":"y","expire":0},{"htname":5}]}'
    assert kamailio.say(side, broken).status == 200
    assert kamailio.say(side, b'{"cells":[]}').status == 200
    assert shown(side) == {"a": "x", "n": 5}
    assert shown(side, "u") == {"b": "y"}
    refused = side.store.counters.refused
    assert (refused["t", "bad_key"], refused["", "unknown_table"]) == (2, 1)
    assert sum(refused.values()) == 4


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"nonsense",
        b'{"action":"2"}',
        b'{"action":99}',
        b'{"action":2,"htname":"t","cname":"","type":2,"strval":"x","mode":1}',
        b'{"action":4,"htname":"t","cname":"","mode":0}',
        b'{"action":4,"htname":"t","cname":"' + b"k" * 5000 + b'","mode":0}',
        b'{"action":2,"htname":"t","cname":"k","type":0,"intval":' + b"9" * 5000 + b"}",
        b'{"cells":' + b"[" * 100_000,
        b'{"action":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"cells":[{"htname":null}]' + b" " * (1 << 20) + b"}",
    ],
)
def test_what_cannot_be_read_gets_a_400_and_a_named_reason(body: bytes) -> None:
    _world, side, kamailio = with_kamailio()
    assert kamailio.say(side, body).status == 400
    assert sum(side.store.counters.refused.values()) == 1
    assert not side.table.cells


def test_a_table_that_is_not_here_or_a_pattern_that_is_none_gets_a_500(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("WARNING", "dmqcache")
    _world, side, kamailio = with_kamailio()
    assert kamailio.say(side, set_body("a", "x", table="none")).status == 500
    assert kamailio.say(side, action(action=5, type=2, strval="a[", mode=0)).status == 500
    assert kamailio.say(side, action(action=5, type=2, strval="(a" * 2000, mode=0)).status == 500
    assert side.store.counters.refused == {("", "unknown_table"): 1, ("t", "bad_pattern"): 2}
    assert caplog.messages == ["table t: a removal by the pattern 'a[' is not done: a '[' is not closed"]


def test_a_pattern_is_logged_cut_short(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("WARNING", "dmqcache")
    _world, side, kamailio = with_kamailio()
    kamailio.say(side, action(action=5, type=2, strval="(" + "a" * 1000, mode=0))
    (message,) = caplog.messages
    assert "a" * 79 in message and "a" * 80 not in message


def test_a_recorded_message_that_comes_again_undoes_nothing() -> None:
    """From another port it is no copy to the bus, nor after a minute: its Call-ID says when it was sent."""
    world, side, kamailio = with_kamailio("t")
    order = itertools.count(0x7DF63FA2385A193D)

    def message(body: dict[str, Any]) -> Message:
        made = kamailio.message(side, body)
        return replace(made, call_id=f"{next(order):016x}-18446@{kamailio.uri.host}")

    def hear(came: Message) -> None:
        reply = side.bus.peers["htable"].handle(came)
        assert isinstance(reply, Reply) and reply.status == 200

    recorded = [message(set_body(key, "old")) for key in ("gone", "changed", "ours")]
    for came in (
        *recorded,
        message(action(action=4, cname="gone", mode=0)),
        message(set_body("changed", "new")),
    ):
        hear(came)
        world.run(0.1)
    side.table["ours"] = "new"
    world.run(70)
    for came in recorded:
        hear(replace(came, source=Endpoint("udp", kamailio.uri.host, 9)))
    assert shown(side) == {"changed": "new", "ours": "new"}


def test_a_stranger_changes_nothing() -> None:
    world = World()
    side = world.side("127.0.0.11")
    stranger = old_kamailio(world)
    for body in (set_body("a", "x"), cells_body(("a", "x"))):
        assert stranger.say(side, body).status == 403
    assert not side.table.cells
    assert side.store.counters.refused["", "unknown_node"] == 2


def test_in_a_dmqcache_nodes_name_nothing_counts() -> None:
    """It says nothing on Kamailio's channel: one forged pattern would empty a table."""
    world = World()
    side = world.side("127.0.0.11", "t")
    node = Played(world, "127.0.0.12", ours=True)
    side.meet(node)
    world.run(6)
    side.table.set("a", "x")
    for body in (
        action(action=5, type=2, strval=".", mode=0),
        action(action=4, cname="a", mode=0),
        set_body("b", "x"),
        cells_body(("b", "x")),
        {"action": 1},
    ):
        assert node.say(side, body).status == 403
    assert shown(side) == {"a": "x"}
    assert side.store.counters.refused["", "not_a_kamailio"] == 5


def test_what_a_stranger_says_at_length_is_not_even_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    side = world.side("127.0.0.11")
    stranger = old_kamailio(world)
    body = cells_body(("k", "x" * 60_000))
    monkeypatch.setattr(htable, "read", lambda body: pytest.fail("parsed"))
    assert stranger.say(side, body).status == 403
    assert side.store.counters.refused["", "unknown_node"] == 1


def test_what_is_kept_of_nodes_that_left_is_nothing() -> None:
    world = World()
    side = world.side("127.0.0.11")
    for number in range(20):
        node = Played(world, f"127.0.1.{number}", NEW)
        node.answer = lambda sent: Reply(400)
        node.say(side, {"action": 1})
        side.meet(node)
        side.table["a"] = str(number)
        world.run(3)
        side.part(node)
    world.run(10)
    assert not side.store.htable._dialects._learnt
    assert not side.store.held_back._nodes
    assert not side.store.sync_requests._served
    assert not side.store.outboxes


def test_a_removal_that_does_not_say_of_what_is_refused_and_named_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As 6.x sends ``sht_rm_name("t", "ew", ...)``: it refuses that itself."""
    _world, side, kamailio = with_kamailio()
    kamailio.say(side, set_body("a", "x"))
    for number in (7, 8, 7):
        assert kamailio.say(side, action(action=number, mode=0)).status == 400
    assert kamailio.say(side, {"action": 7, "htname": "unknown", "mode": 0}).status == 400
    assert shown(side) == {"a": "x"}
    assert [record.getMessage() for record in caplog.records] == [
        f"table t: {kamailio.uri} removes keys without saying which (sht_rm_name, sht_rm_value: ew, in)"
    ]
