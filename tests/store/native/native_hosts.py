"""Nodes for the tests of how dmqcache nodes talk: one and a played one, or two real ones."""

from __future__ import annotations

from typing import Any

from tests.store.harness import Played, Side, World, equal


def with_node(*tables: str, **options: Any) -> tuple[World, Side, Played]:
    world = World()
    side = world.side("127.0.0.11", *tables, **options)
    other = Played(world, "127.0.0.12", ours=True)
    side.meet(other)
    world.run(3)
    other.got.clear()
    return world, side, other


def rows(other: Played) -> list[list[Any]]:
    return [row for body in other.seen() for some in body.get("rows", {}).values() for row in some]


def pair(**options: Any) -> tuple[World, Side, Side]:
    world = World()
    one, two = world.side("127.0.0.11", **options), world.side("127.0.0.12", **options)
    return world, one, two


def cut_while(world: World, one: Side, two: Side) -> None:
    """Both are written to from here on without hearing of each other, and nothing is kept."""
    one.meet(two)
    two.meet(one)
    world.run(3)
    one.part(two)
    two.part(one)


def rejoin(world: World, one: Side, two: Side) -> None:
    one.meet(two)
    two.meet(one)
    world.until(lambda: equal(one, two), 10)


def rows_sent(*sides: Side) -> int:
    return sum(len(rows) for side in sides for sent in side.bus.sent for rows in sent.message.rows.values())
