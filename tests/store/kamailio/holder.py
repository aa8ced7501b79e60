"""A Kamailio with a table of its own, played by the test."""

from __future__ import annotations

from functools import partial
from typing import Any

from dmqcache.bus.peer import Reply
from tests.store.harness import OLD, Played, Sent, Side, World, cells_body


class Holder:
    """A Kamailio's table: answers a sync request with its cells, and applies what it is told."""

    def __init__(self, world: World, to: list[Side], host: str = "127.0.0.90", agent: str = OLD) -> None:
        self.node = Played(world, host, agent)
        self.node.answer = self.answer
        self.world = world
        self.to = to
        self.cells: dict[str, str | int] = {}
        self.stamps: dict[str, int] = {}
        self.expire = 0
        self.asked: list[float] = []

    def answer(self, sent: Sent) -> Reply:
        body = sent.json
        for cell in body.get("cells", [body]):
            stamp = cell.get("last_modified", 0)
            if stamp and self.stamps.get(cell["cname"], 0) >= stamp:
                continue
            if "strval" in cell or ("intval" in cell and cell.get("action", 2) == 2):
                self.cells[cell["cname"]] = cell.get("strval", cell.get("intval"))
                if "last_modified" in cell:
                    self.stamps[cell["cname"]] = cell["last_modified"]
        if body.get("action") == 4:
            self.cells.pop(body["cname"], None)
        if body.get("action") == 1:
            self.asked.append(self.world.clock.time)
            self.send()
        return Reply(200)

    def send(self) -> None:
        for key, value in self.cells.items():
            body = cells_body((key, value), expire=self.expire, stamp=self.stamps.get(key, 0))
            for side in self.to:
                self.world.later(0.0005, partial(self.node.say, side, body))

    def orders(self) -> list[dict[str, Any]]:
        """What it was told, without questions."""
        return [body for body in self.node.seen() if body != {"action": 1}]


def apart(*tables: str, agent: str = OLD) -> tuple[World, Side, Holder]:
    """A node and a Kamailio that held the same and lost each other; after this each may be written to."""
    world = World()
    side = world.side("127.0.0.11", *tables)
    holder = Holder(world, [side], agent=agent)
    side.meet(holder.node)
    side.table["same"] = "x"
    world.run(5)
    assert holder.cells == {"same": "x"}
    side.lose(holder.node)
    world.run(30)
    holder.node.got.clear()
    holder.asked.clear()
    return world, side, holder


def again(world: World, side: Side, holder: Holder, seconds: float = 12) -> None:
    side.meet(holder.node)
    world.run(seconds)
