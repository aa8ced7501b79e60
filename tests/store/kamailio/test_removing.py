"""A Kamailio's removal by pattern on a large table: in steps, and without what was written meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from dmqcache.bus.peer import Later, Reply
from dmqcache.store.kamailio import removing
from tests.store.harness import Played, Side, World, set_body, shown, with_kamailio

REMOVE: dict[str, Any] = {"htname": "t", "action": 5, "type": 2, "strval": "^gone", "mode": 0}
COUNT = 500


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> tuple[World, Side, Played]:
    """A table that counts as large, and steps that are over after their first piece."""
    monkeypatch.setattr(removing, "AT_ONCE", COUNT)
    monkeypatch.setattr("dmqcache.bus.loop_steps.STEP_S", 0.0)
    world, side, kamailio = with_kamailio("t")
    for number in range(COUNT):
        side.table.set(f"gone{number:04}", "x")
        side.table.set(f"kept{number:04}", "x")
    world.run(1)
    return world, side, kamailio


def ask(side: Side, kamailio: Played) -> tuple[Reply | Later, list[Reply]]:
    reply = side.bus.peers["htable"].handle(kamailio.message(side, REMOVE, "htable"))
    given: list[Reply] = []
    if isinstance(reply, Later):
        reply.then(given.append)
    return reply, given


def test_a_large_table_is_looked_through_in_steps_and_answered_at_the_end(
    large: tuple[World, Side, Played],
) -> None:
    world, side, kamailio = large
    reply, given = ask(side, kamailio)
    assert isinstance(reply, Later) and not given
    assert len(side.table) > COUNT
    world.run(1)
    assert [answer.status for answer in given] == [200]
    assert len(side.table) == COUNT and all(key.startswith("kept") for key in side.table)


def test_what_is_written_meanwhile_stays(large: tuple[World, Side, Played]) -> None:
    world, side, kamailio = large
    _, given = ask(side, kamailio)
    world.run(0.01)
    side.table.set("gone9998", "mine")
    assert kamailio.say(side, set_body("gone9999", "its own")).status == 200
    world.run(1)
    assert given and {key for key in side.table if key.startswith("gone")} == {"gone9998", "gone9999"}


def test_a_small_table_is_done_with_at_once() -> None:
    _, side, kamailio = with_kamailio("t")
    for key in ("gone1", "kept1"):
        side.table.set(key, "x")
    assert kamailio.say(side, REMOVE).status == 200
    assert list(shown(side)) == ["kept1"]
