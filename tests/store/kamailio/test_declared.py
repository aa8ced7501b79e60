"""A Kamailio that declares a table otherwise is found out by what it shows, named once, and not flooded."""

from __future__ import annotations

import logging

import pytest

from dmqcache.bus.peer import Reply
from dmqcache.store.kamailio.compare import STRAY_S
from tests.store.harness import Sent, Side, World, shown
from tests.store.kamailio.holder import Holder

MINUTE_S = 60.0
AUTOEXPIRE = 3600
CELLS = 8


class Timed(Holder):
    """A Kamailio with a time to live of its own."""

    autoexpire = AUTOEXPIRE

    def __init__(self, world: World, to: list[Side]) -> None:
        super().__init__(world, to)
        self.ends: dict[str, int] = {}

    def answer(self, sent: Sent) -> Reply:
        wall = self.to[0].store.clock.wall_ms() // 1000
        body = sent.json
        for cell in body.get("cells", [body]):
            if "strval" in cell and self.autoexpire:
                self.ends[cell["cname"]] = wall + self.autoexpire
            elif cell.get("action") == 3 and self.autoexpire:
                self.ends[cell["cname"]] = wall + cell["intval"]
        return super().answer(sent)

    def send(self) -> None:
        kept = self.cells
        for key, value in kept.items():
            self.cells, self.expire = {key: value}, self.ends.get(key, 0)
            super().send()
        self.cells = kept


def joined(there: int, here: int) -> tuple[World, Side, Timed]:
    world = World()
    side = world.side("127.0.0.11", f"t=>autoexpire={here}")
    holder = Timed(world, [side])
    holder.autoexpire = there
    side.meet(holder.node)
    world.run(STRAY_S + 10)
    for number in range(CELLS):
        side.table[f"k{number}"] = "v"
    return world, side, holder


@pytest.mark.parametrize(
    ("there", "here", "words"),
    [
        (600, 3600, "autoexpire about 600 there, 3600 here"),
        (7200, 3600, "autoexpire about 7200 there, 3600 here"),
        (0, 3600, "no autoexpire there, 3600 here"),
        (3600, 0, "some autoexpire there, none here"),
    ],
)
def test_another_time_to_live_is_found_within_a_minute_and_named_once(
    caplog: pytest.LogCaptureFixture, there: int, here: int, words: str
) -> None:
    world, side, holder = joined(there, here)
    world.run(MINUTE_S)
    assert side.store.compare.otherwise(holder.node.uri) == {"t": words}
    world.run(5 * MINUTE_S)
    told = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(told) == 1
    assert f"t=>autoexpire={here};" in told[0].getMessage()
    # Whoever comes back may have been mended.
    side.meet(holder.node)
    assert side.store.compare.otherwise(holder.node.uri) == {}


@pytest.mark.parametrize("autoexpire", [0, 20, 3600])
def test_the_same_time_to_live_is_nothing_to_speak_of(
    caplog: pytest.LogCaptureFixture, autoexpire: int
) -> None:
    world, side, holder = joined(autoexpire, autoexpire)
    if autoexpire:
        side.table.set("its own", "v", 5)
    world.run(5 * MINUTE_S)
    assert side.store.compare.otherwise(holder.node.uri) == {}
    assert caplog.records == []


def test_who_was_told_late_has_no_other_time_to_live(caplog: pytest.LogCaptureFixture) -> None:
    """As after a partition, when another node tells it what was written meanwhile."""
    world = World()
    side = world.side("127.0.0.11", f"t=>autoexpire={AUTOEXPIRE}")
    for number in range(CELLS):
        side.table[f"k{number}"] = "v"
    world.run(50)
    holder = Timed(world, [side])
    side.meet(holder.node)
    world.run(1)
    for key in side.table:
        holder.cells[key], holder.ends[key] = "v", side.store.clock.wall_ms() // 1000 + AUTOEXPIRE
    world.run(MINUTE_S)
    assert side.store.compare.otherwise(holder.node.uri) == {}
    assert caplog.records == []


def test_a_kamailio_that_does_not_replicate_a_table_is_named_and_not_sent_all_again_for_ever(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    side = world.side("127.0.0.11")
    for number in range(CELLS):
        side.table[f"k{number}"] = "v"
    holder = Holder(world, [side])
    holder.send = lambda: None  # type: ignore[method-assign]
    side.meet(holder.node)
    world.run(MINUTE_S)
    assert side.store.compare.otherwise(holder.node.uri) == {"t": "no dmqreplicate there"}
    assert "dmqreplicate=1" in caplog.text
    told = len(holder.orders())
    world.run(10 * MINUTE_S)
    assert len(holder.orders()) <= 3 * told  # Ever more rarely.
    side.table["new"] = "v"
    world.run(1)
    assert holder.cells == shown(side)
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 1
