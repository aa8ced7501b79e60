"""The giving side: only what is lacking, a bounded number of wants at once, and an honest end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dmqcache.bus.loop_steps import in_steps
from dmqcache.bus.peer import Reply
from dmqcache.bus.runtime import Runtime
from dmqcache.store.native import donor
from dmqcache.store.native.donor import MAX_TRANSFERS
from dmqcache.store.native.native_message import MAX_PARTS, decode_answer
from tests.store.harness import Played, Sent, Side, World


def with_asker(cells: int = 0, *tables: str) -> tuple[World, Side, Played]:
    world = World()
    side = world.side("127.0.0.11", *tables)
    for number in range(cells):
        side.table[f"k{number}"] = "x"
    asker = Played(world, "127.0.0.12", ours=True)
    side.meet(asker)
    world.run(3)
    asker.got.clear()
    return world, side, asker


def want(asker: Played, side: Side, *parts: list[Any], table: str = "t", number: int = 1) -> Reply:
    return asker.tell(side, want={"id": number, "table": table, "parts": list(parts)})


def given(asker: Played) -> list[str]:
    return [row[0] for body in asker.seen() for row in body.get("rows", {}).get("t", ())]


def ends(asker: Played) -> list[dict[str, Any]]:
    return [body["done"] for body in asker.seen() if "done" in body]


def test_all_of_a_part_is_given_to_one_who_has_nothing_and_then_the_end() -> None:
    world, side, asker = with_asker(300)
    assert want(asker, side, [0, 0, []], number=7).status == 200
    world.run(2)
    assert sorted(given(asker)) == sorted(side.table)
    assert ends(asker) == [{"id": 7}]
    assert "done" in asker.seen()[-1]
    assert all(body.get("repair") for body in asker.seen()[:-1])


def test_who_asks_for_all_is_answered_in_pieces_between_which_others_have_their_turns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dmqcache.bus.loop_steps.STEP_S", 0.0)
    monkeypatch.setattr(donor, "PIECE", 20)
    world, side, asker = with_asker(300)
    for number in range(50):
        side.table.set(f"dead{number}", "x")
        side.table.delete(f"dead{number}")
    world.run(1)
    asker.got.clear()
    turns: list[int] = []

    def noted(pieces: Iterator[object]) -> Iterator[None]:
        for _ in pieces:
            turns.append(len(asker.got))
            yield

    def noting(runtime: Runtime, pieces: Iterator[object], then: Callable[[], None]) -> None:
        in_steps(runtime, noted(pieces), then)

    monkeypatch.setattr(donor, "in_steps", noting)
    asker.tell(side, want={"id": 3, "table": "t", "parts": [[0, 0, []]], "tombstones": True})
    world.run(2)
    assert len(turns) > (300 + 50) // 20 and not any(turns)
    assert sorted(given(asker)) == sorted([*side.table, *(f"dead{number}" for number in range(50))])
    assert ends(asker) == [{"id": 3}]


def test_a_node_that_goes_while_its_cells_are_sought_is_sent_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dmqcache.bus.loop_steps.STEP_S", 0.0)
    monkeypatch.setattr(donor, "PIECE", 20)
    world, side, asker = with_asker(300)
    want(asker, side, [0, 0, []])
    world.clock.call_later(0.0, lambda: side.part(asker))
    world.run(2)
    assert given(asker) == [] and ends(asker) == []


def test_a_want_that_may_be_forged_shows_what_only_our_answer_tells() -> None:
    """A datagram of a few bytes in a node's name would have a whole table sent to it, again and again."""
    world, side, asker = with_asker(300)
    fields = {"id": 7, "table": "t", "parts": [[0, 0, []]]}

    def wanted(node: Played, **more: str) -> int:
        message = node.message(side, {"want": fields | more}, "dmqcache", forgeable=True)
        reply = side.bus.peers["dmqcache"].handle(message)
        assert isinstance(reply, Reply)
        return reply.status

    assert wanted(asker) == wanted(asker, token="guessed") == 403
    world.run(2)
    assert not given(asker) and side.store.counters.refused["", "want_without_token"] == 2
    token = decode_answer(asker.tell(side, ask={"t": []}).body).token
    other = Played(world, "127.0.0.13", ours=True)
    side.meet(other)
    assert wanted(other, token=token) == 403
    assert wanted(asker, token=token) == 200
    world.run(2)
    assert len(given(asker)) == 300


def test_what_the_asker_has_is_not_sent_and_what_only_it_has_is_named() -> None:
    world, side, asker = with_asker(10)
    held = [cell.digest for key, cell in side.table.cells.items() if key != "k3"]
    want(asker, side, [0, 0, [*held, 12345]])
    world.run(1)
    assert given(asker) == ["k3"]
    assert ends(asker) == [{"id": 1, "lack": [12345]}]


def test_only_the_parts_asked_for_are_given_and_none_twice() -> None:
    world, side, asker = with_asker(300)
    part = next(place for place in range(16) if side.table.digest.node(1, place))
    want(asker, side, [1, part, []], [1, part, []], [1, part, []])
    world.run(1)
    assert sorted(given(asker)) == sorted(
        key for key, cell in side.table.cells.items() if cell.hash >> 60 == part
    )


def test_parts_deeper_than_our_own_leaves_are_told_apart() -> None:
    world, side, asker = with_asker(300)
    assert side.table.digest.depth == 2
    places = {cell.hash >> 48: key for key, cell in side.table.cells.items()}
    place, key = next(iter(places.items()))
    want(asker, side, [4, place, []])
    world.run(1)
    assert key in given(asker)
    assert len(given(asker)) < 5


def test_the_end_comes_only_after_the_cells_were_acknowledged() -> None:
    world, side, asker = with_asker(300)
    asker.answer = lambda sent: None if sent.message.rows else Reply(200)
    want(asker, side, [0, 0, []])
    world.run(6)
    assert ends(asker) == []
    asker.answer = lambda sent: Reply(200)
    world.run(10)
    assert len(ends(asker)) == 1
    assert set(given(asker)) == set(side.table)


def test_an_end_that_is_not_answered_is_said_again_but_not_for_ever() -> None:
    world, side, asker = with_asker(3)

    def answer(sent: Sent) -> Reply | None:
        return None if sent.message.done else Reply(200)

    asker.answer = answer
    want(asker, side, [0, 0, []])
    world.run(60)
    assert len([sent for sent in side.bus.sent if sent.message.done]) == 3


def test_a_want_of_a_table_that_is_not_shared_ends_at_once_with_nothing() -> None:
    world, side, asker = with_asker(3, "t", "own=>dmqreplicate=0")
    side.store.tables["own"]["secret"] = "x"
    for number, table in enumerate(("own", "none")):
        assert want(asker, side, [0, 0, []], table=table, number=number).status == 200
    world.run(1)
    assert ends(asker) == [{"id": 0}, {"id": 1}]
    assert b"secret" not in b"".join(sent.body for sent in side.bus.sent)


def test_a_node_that_has_not_answered_us_is_told_to_ask_again() -> None:
    world = World()
    side = world.side("127.0.0.11")
    asker = Played(world, "127.0.0.12", ours=True)
    side.meet(asker, notify=False)
    assert want(asker, side, [0, 0, []]).status == 503


def test_wants_without_end_take_no_room_without_end() -> None:
    world, side, asker = with_asker(30_000)
    asker.answer = lambda sent: None
    statuses = [want(asker, side, [0, 0, []], number=number).status for number in range(50)]
    world.run(1)
    statuses += [want(asker, side, [0, 0, []], number=number).status for number in range(50)]
    assert statuses.count(200) == MAX_TRANSFERS
    assert len(side.outbox(asker).transfers) == MAX_TRANSFERS
    assert not side.store.donor._indexing


def test_one_want_never_looks_at_the_whole_table_over_and_over() -> None:
    world, side, asker = with_asker(120_000)
    parts = [[0, 0, []], [1, 0, []], [2, 0, []]] + [[1, place, []] for place in range(16)]
    assert len(parts) <= MAX_PARTS
    want(asker, side, *parts)
    world.run(0.5)
    assert sum(len(transfer.cells) + transfer.flying for transfer in side.outbox(asker).transfers) <= 120_000


def test_an_asker_that_went_away_meanwhile_is_forgotten() -> None:
    world, side, asker = with_asker(30_000)
    want(asker, side, [0, 0, []])
    side.part(asker)
    world.run(1)
    assert asker.got == []
    assert not side.store.donor._indexing


def test_numbers_that_no_cell_has_are_given_back_as_they_came() -> None:
    world, side, asker = with_asker(3)
    want(asker, side, [0, 0, [10**30, -5]])
    world.run(1)
    assert sorted(ends(asker)[0]["lack"]) == [-5, 10**30]
    assert len(given(asker)) == 3


def test_for_a_node_that_is_lost_while_its_cells_are_sought_nothing_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dmqcache.bus.loop_steps.STEP_S", 0.0)
    monkeypatch.setattr(donor, "PIECE", 20)
    world, side, asker = with_asker(300)
    want(asker, side, [0, 0, []])
    world.clock.call_later(0.0, lambda: side.lose(asker))
    world.run(2)
    assert not side.outbox(asker).transfers and side.outbox(asker).waiting() == 0
