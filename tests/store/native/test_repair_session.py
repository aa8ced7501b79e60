"""Two nodes compare, exchange only what differs, deletes and flushes too, and never get stuck."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dmqcache.bus.peer import Reply
from dmqcache.store.native import absence
from dmqcache.store.native.native_message import Answer, Summary, encode
from dmqcache.store.native.repair_session import PATIENCE, PATIENCE_S, ROUNDS, SILENCE_S
from dmqcache.store.table import giving_up, late_flush
from dmqcache.store.table.cells import Cells
from dmqcache.store.table.clock import version_at
from tests.store.harness import Played, Sent, World, equal, shown
from tests.store.native.native_hosts import cut_while, pair, rejoin, rows_sent


def test_equal_tables_are_compared_by_one_question() -> None:
    world, one, two = pair()
    one.table["a"] = "x"
    world.mesh(one, two)
    world.run(3)
    for side in (one, two):
        side.bus.sent.clear()
    one.store.repair.want(two.uri)
    world.run(1)
    assert [sent.message.ask for sent in one.bus.sent] == [{"t": []}]
    assert two.bus.sent == []
    assert one.store.counters.repairs["equal"] >= 1


def test_writes_of_both_sides_come_together_and_nothing_else_travels() -> None:
    world, one, two = pair()
    for number in range(500):
        one.table[f"k{number}"] = "same"
    world.mesh(one, two)
    world.until(lambda: equal(one, two))
    cut_while(world, one, two)
    one.table["only one"] = "1"
    two.table["only two"] = "2"
    one.table["k7"] = "old"
    world.run(0.1)
    two.table["k7"] = "new"
    one.bus.sent.clear()
    two.bus.sent.clear()
    rejoin(world, one, two)
    assert (one.table["only two"], two.table["only one"], one.table["k7"]) == ("2", "1", "new")
    assert rows_sent(one, two) < 12


def test_a_delete_made_apart_wins_over_what_the_other_still_holds_whoever_asks() -> None:
    for asker in (0, 1):
        world, one, two = pair()
        one.table["a"] = "x"
        one.table["b"] = "y"
        world.mesh(one, two)
        world.until(lambda one=one, two=two: equal(one, two))  # type: ignore[misc]
        cut_while(world, one, two)
        world.run(1)
        del one.table["a"]
        one.meet(two)
        two.meet(one)
        (one, two)[asker].store.repair.want((two, one)[asker].uri, first=True)
        world.until(lambda one=one, two=two: equal(one, two), 10)  # type: ignore[misc]
        assert shown(two) == {"b": "y"}


def test_a_flush_made_apart_reaches_the_other() -> None:
    world, one, two = pair()
    one.table["a"] = "x"
    world.mesh(one, two)
    world.until(lambda: equal(one, two))
    cut_while(world, one, two)
    world.run(1)
    two.table.flush()
    two.table["new"] = "y"
    rejoin(world, one, two)
    assert shown(one) == {"new": "y"}
    assert one.table.floor == two.table.floor


def test_a_table_that_is_not_replicated_stays_where_it_is() -> None:
    world = World()
    one = world.side("127.0.0.11", "t", "own=>dmqreplicate=0")
    two = world.side("127.0.0.12", "t", "own=>dmqreplicate=0")
    one.store.tables["own"]["a"] = "mine"
    one.store.tables["t"]["a"] = "ours"
    world.mesh(one, two)
    world.run(5)
    assert shown(two) == {"a": "ours"}
    assert shown(two, "own") == {}
    two.meet(one)
    one.store.tables["own"].flush()
    two.store.tables["own"]["b"] = "theirs"
    world.run(5)
    assert shown(two, "own") == {"b": "theirs"}


def test_a_donor_that_says_nothing_any_more_is_given_up() -> None:
    world = World()
    mute = Played(world, "127.0.0.12", ours=True)
    young = world.side("127.0.0.11", ready=False)
    other = world.side("127.0.0.13")
    other.table["a"] = "x"

    def answer(sent: Sent) -> Reply | None:
        if sent.message.ask is None:
            return Reply(200)
        sums = {"t": Summary(10, 0, 2, [[1] * 16 for _ in sent.message.ask["t"]], 16)}
        return Reply(200, body=encode(Answer(now=young.store.clock.raw_ms(), sums=sums)))

    mute.answer = answer
    young.meet(mute)
    world.run(0.5)
    other.meet(young)
    young.meet(other)

    def chatter() -> None:
        mute.tell(young, rows={"t": [["noise", "x", young.store.clock.raw_ms()]]})
        world.clock.call_later(0.5, chatter)

    chatter()  # Changes that it sends are no sign that it still serves us.
    world.until(lambda: young.store.ready, 5 * SILENCE_S)
    assert young.table["a"] == "x"
    assert young.store.counters.repairs["failed"] >= 1


def test_a_comparison_waits_for_changes_that_are_on_their_way_but_not_for_ever() -> None:
    world = World()
    other = Played(world, "127.0.0.12", ours=True)
    side = world.side("127.0.0.11")
    looks: list[float] = []
    wants: list[float] = []

    def answer(sent: Sent) -> Reply:
        message = sent.message
        if message.want is not None:
            wants.append(sent.time)
        if message.ask is None:
            return Reply(200)
        looks.append(sent.time)
        sums = {"t": Summary(1, 0, 2, [[0] * 15 + [1] for _ in message.ask["t"]], 1)}
        now = side.store.clock.raw_ms()
        return Reply(200, body=encode(Answer(now=now, sums=sums, waiting=5)))

    other.answer = answer
    side.meet(other)
    world.until(lambda: bool(wants), 20)
    assert wants[0] - looks[0] > PATIENCE * PATIENCE_S * 0.9


def test_a_node_whose_sums_never_agree_is_left_alone_after_some_rounds() -> None:
    world = World()
    liar = Played(world, "127.0.0.12", ours=True)
    side = world.side("127.0.0.11")
    asked: list[Sent] = []

    def answer(sent: Sent) -> Reply:
        message = sent.message
        if message.want is not None:
            want = message.want.id
            world.later(0.001, lambda: liar.tell(side, done={"id": want, "lack": [1, 2, 3]}))
        if message.ask is None:
            return Reply(200)
        asked.append(sent)
        sums = {"t": Summary(-5, -1, 99, [[7] * 3 for _ in message.ask["t"]], 7), "none": Summary(1, 1, 2)}
        return Reply(200, body=encode(Answer(now=side.store.clock.raw_ms(), sums=sums)))

    liar.answer = answer
    side.meet(liar)
    world.run(20)
    assert side.store.repair.session is None
    assert len(asked) <= 4 * (ROUNDS + 1)


def test_an_answer_that_cannot_be_read_or_is_no_200_ends_the_comparison() -> None:
    for reply in (Reply(200, body=b"{"), Reply(500), Reply(200, body=b"{}")):
        world = World()
        other = Played(world, "127.0.0.12", ours=True)
        side = world.side("127.0.0.11")
        other.answer = lambda sent, reply=reply: reply  # type: ignore[misc]
        side.meet(other)
        world.run(3)
        assert side.store.repair.session is None
        assert side.store.counters.repairs["failed"] == 1


def test_a_large_table_of_a_node_that_was_off_for_long_is_given_up_in_turns_before_anything_is_exchanged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dmqcache.bus.loop_steps.STEP_S", 0.0)
    monkeypatch.setattr(giving_up, "AT_ONCE", 10)
    monkeypatch.setattr(late_flush, "LOOKED_AT", 3)
    monkeypatch.setattr(late_flush, "FEW_DEAD", 3)
    world, back, stayed = pair()
    cut_while(world, back, stayed)
    for number in range(50):
        back.table[f"old{number}"] = "x"
    stayed.table["theirs"] = "z"
    world.run(1)
    # It read them from its disk, and the other has forgotten what was deleted an hour later.
    back.table.known = back.store.clock.version()
    stayed.table.forgot = back.table.known - version_at(1)
    world.run(1)
    back.table["new"] = "y"
    pieces: list[int] = []
    prepared = giving_up.prepared

    def write() -> None:
        back.table["meanwhile"] = "m"

    def noting(table: Cells) -> Iterator[None]:
        for _ in prepared(table):
            if not pieces:
                world.clock.call_later(0.0, write)
            pieces.append(len(back.table))
            yield

    monkeypatch.setattr(absence, "prepared", noting)
    rejoin(world, back, stayed)
    assert len(pieces) > 50 / 3 and min(pieces) == 51
    wanted = {"new": "y", "meanwhile": "m", "theirs": "z"}
    assert shown(back) == shown(stayed) == wanted
    assert back.table.late is None and back.table.known == 0
