"""Two nodes compare, exchange only what differs, deletes and flushes too, and never get stuck."""

from __future__ import annotations

from typing import Any

from dmqcache.bus.peer import Reply
from dmqcache.store.native.initial_sync import SyncState
from dmqcache.store.native.message import NativeMessage, Summary, encode
from dmqcache.store.native.session import PATIENCE, PATIENCE_S, ROUNDS, SILENCE_S
from tests.store.harness import Played, Sent, Side, World, equal, shown


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


def test_ten_thousand_cells_come_in_parts_and_a_write_does_not_wait_for_them() -> None:
    world, one, two = pair()
    for number in range(10_000):
        one.table[f"k{number}"] = f"v{number}"
    world.mesh(one, two)
    world.until(lambda: len(two.table) > 100)
    one.table["urgent"] = "now"
    world.until(lambda: "urgent" in two.table, 1)
    assert len(two.table) < 10_000
    world.until(lambda: equal(one, two), 30)
    assert max(len(outbox.flying) for outbox in one.store.outboxes.values()) <= 4
    assert max(len(sent.body) for sent in one.bus.sent) < 64_000


def test_writes_without_end_do_not_keep_a_sync_from_its_end() -> None:
    world, one, two = pair()
    for number in range(10_000):
        one.table[f"k{number}"] = f"v{number}"
    world.mesh(one, two)
    count = [0]

    def write() -> None:
        count[0] += 1
        one.table[f"hot{count[0] % 50}"] = str(count[0])
        one.runtime.call_later(0.0001, write)

    write()
    world.until(lambda: all(f"k{number}" in two.table for number in range(10_000)), 30)


def test_a_large_table_compares_with_a_small_one_in_messages_that_fit_a_datagram() -> None:
    world, one, two = pair()
    for number in range(80_000):
        one.table[f"k{number}"] = 1
    two.table["a"] = "x"
    one.meet(two)
    two.meet(one, notify=False)
    world.run(0.5)
    two.meet(one)
    two.store.repair._due.clear()
    one.store.repair.want(two.uri, first=True)
    world.until(lambda: "a" in one.table, 20)
    assert max(len(sent.body) for sent in one.bus.sent) < 64_000


def test_a_donor_that_dies_is_replaced_and_nothing_is_asked_for_twice() -> None:
    world = World()
    donors = [world.side("127.0.0.11"), world.side("127.0.0.12")]
    for number in range(10_000):
        donors[0].table[f"k{number}"] = f"v{number}"
    world.mesh(*donors)
    world.until(lambda: equal(*donors), 30)
    young = world.side("127.0.0.13", ready=False)
    for donor in donors:
        donor.meet(young)
        donor.bus.sent.clear()
    for donor in donors:
        young.meet(donor)
    world.until(lambda: len(young.table) > 3_000)
    first = next(donor for donor in donors if donor.uri == young.store.initial_sync.donor)
    world.kill(first)
    world.run(0.05)
    had = len(young.table)
    young.lose(first)
    world.until(lambda: young.store.ready, 30)
    assert len(young.table) == 10_000
    second = donors[1 - donors.index(first)]
    assert rows_sent(second) <= 10_000 - had + 2_000


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
        return Reply(200, body=encode(NativeMessage(now=young.store.clock.raw_ms(), sums=sums)))

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


def test_a_want_that_cannot_be_served_yet_is_said_so_and_asked_again() -> None:
    world = World()
    one, two = world.side("127.0.0.11"), world.side("127.0.0.12", ready=False)
    one.table["a"] = "x"
    one.meet(two, notify=False)
    two.meet(one)
    world.run(1.0)
    one.meet(two)
    world.until(lambda: two.store.ready, 3)
    assert shown(two) == {"a": "x"}


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
        return Reply(200, body=encode(NativeMessage(now=now, sums=sums, waiting=5)))

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
        return Reply(200, body=encode(NativeMessage(now=side.store.clock.raw_ms(), sums=sums)))

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


def test_now_and_then_a_node_is_compared_with() -> None:
    world = World()
    one = world.side("127.0.0.11", repair_interval=10)
    two = world.side("127.0.0.12")
    world.mesh(one, two)
    world.run(3)
    before = one.store.counters.repairs["equal"]
    world.run(30)
    assert one.store.counters.repairs["equal"] >= before + 2


def test_an_outbox_that_forgot_is_mended_by_a_comparison() -> None:
    world, one, two = pair(outbox_limit=10)
    world.mesh(one, two)
    world.run(3)
    one.lose(two)
    for number in range(50):
        one.table[f"k{number}"] = "x"
    world.run(0.1)
    assert one.outbox(two).overflowed
    one.meet(two)
    world.until(lambda: equal(one, two), 10)
    world.until(lambda: not one.outbox(two).overflowed, 10)


def test_after_the_end_nothing_is_asked_any_more() -> None:
    world, one, two = pair()
    for number in range(3_000):
        one.table[f"k{number}"] = "x"
    world.mesh(one, two)
    world.run(0.005)
    two.store.stop()
    world.run(0.01)
    sent = len(two.bus.sent)
    world.run(60)
    assert len(two.bus.sent) == sent


def test_a_node_that_starts_with_others_that_are_still_syncing_gets_all() -> None:
    world = World()
    full = world.side("127.0.0.11")
    for number in range(10_000):
        full.table[f"k{number}"] = "x"
    middle = world.side("127.0.0.12", ready=False)
    last = world.side("127.0.0.13", ready=False)
    world.mesh(full, middle)
    world.mesh(middle, last)
    world.until(lambda: equal(full, middle), 30)
    # Not after the index that the middle node made when it was half full is forgotten: now.
    before = world.clock.time
    world.until(lambda: last.store.initial_sync.state is SyncState.READY, 30)
    assert world.clock.time - before < 5
    assert len(last.table) == 10_000
