"""What a Kamailio 6.2 writes reaches older ones, which refuse its sets, at once."""

from __future__ import annotations

from typing import Any

from dmqcache.bus.peer import Reply
from tests.store.harness import NEW, Sent, Side, World, set_body, shown
from tests.store.kamailio.holder import Holder

AT_ONCE_S = 0.1


def _strict(holder: Holder) -> None:
    """Have an older Kamailio refuse what it does not know, as real ones do."""
    answer = holder.node.answer

    def strict(sent: Sent) -> Reply | None:
        return Reply(400) if b"last_modified" in sent.body else answer(sent)

    holder.node.answer = strict


def mixture() -> tuple[World, Side, Side, Holder, Holder]:
    """Two dmqcache nodes, a Kamailio 6.2 and an older one, all quiet."""
    world = World()
    one, two = world.side("127.0.0.11", "t=>autoexpire=3600"), world.side("127.0.0.12", "t=>autoexpire=3600")
    newer, older = Holder(world, [one, two], "127.0.0.62", NEW), Holder(world, [one, two])
    _strict(older)
    world.mesh(one, two, newer.node, older.node)
    world.run(50)
    for holder in (newer, older):
        holder.node.got.clear()
    return world, one, two, newer, older


def say(newer: Holder, sides: tuple[Side, ...], body: bytes | dict[str, Any]) -> None:
    for side in sides:
        assert newer.node.say(side, body).status == 200


def test_a_set_arrives_at_once_and_once() -> None:
    world, one, two, newer, older = mixture()
    say(newer, (one, two), set_body("a", "x", stamp=one.store.clock.wall_ms()))
    world.run(AT_ONCE_S)
    assert older.cells == shown(one) == shown(two) == {"a": "x"}
    assert [body["cname"] for body in older.orders()] == ["a"]
    assert newer.orders() == []


def test_a_time_a_delete_and_a_removal_that_come_at_once_after_it_count() -> None:
    """The older one hears of them before it hears of the set."""
    world, one, two, newer, older = mixture()
    now = one.store.clock.wall_ms()
    for key in ("timed", "deleted", "removed"):
        say(newer, (one, two), set_body(key, "x", stamp=now))
    say(newer, (one, two), {"action": 3, "htname": "t", "cname": "timed", "type": 0, "intval": 50, "mode": 0})
    say(newer, (one, two), {"action": 4, "htname": "t", "cname": "deleted", "mode": 0})
    say(newer, (one, two), {"action": 6, "htname": "t", "type": 2, "strval": "rem", "mode": 0})
    world.run(AT_ONCE_S)
    assert older.cells == shown(one) == {"timed": "x"}
    assert any(body.get("action") == 3 and body["intval"] == 50 for body in older.orders())


def test_what_an_older_one_writes_is_not_told_on() -> None:
    world, one, two, newer, older = mixture()
    say(older, (one, two), set_body("a", "x"))
    world.run(AT_ONCE_S)
    assert newer.orders() == older.orders() == []


def test_a_winner_with_a_time_is_told_once_more_where_it_crossed_with_another_write() -> None:
    world, one, two, newer, older = mixture()
    now = one.store.clock.wall_ms()
    say(older, (one, two), set_body("a", "by the older"))
    say(newer, (one, two), set_body("a", "by the newer", stamp=now + 1))
    world.run(AT_ONCE_S)
    older.cells["a"] = "by the older"  # Its own write came after what it was told.
    world.run(2)
    assert shown(one) == shown(two) == {"a": "by the newer"} == older.cells
