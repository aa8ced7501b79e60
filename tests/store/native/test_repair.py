"""With whom a node compares, and when: one at a time, again with another, not after the end."""

from __future__ import annotations

from dmqcache.bus.peer import Reply
from dmqcache.store.native.initial_sync import SyncState
from dmqcache.store.native.native_message import Answer, Summary, encode
from dmqcache.store.native.repair import FILLING_S
from tests.store.harness import Sent, World, equal
from tests.store.native.native_hosts import pair, rows_sent, with_node


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


def test_a_node_that_gets_all_of_its_own_accord_is_sent_nothing_twice() -> None:
    world = World()
    donors = [world.side("127.0.0.11"), world.side("127.0.0.13")]
    for number in range(10_000):
        donors[0].table[f"k{number}"] = f"v{number}"
    world.mesh(*donors)
    world.until(lambda: equal(*donors), 30)
    for donor in donors:
        donor.bus.sent.clear()
    young = world.side("127.0.0.12", ready=False)
    world.mesh(*donors, young)
    world.until(lambda: young.store.ready, 30)
    world.until(lambda: all(donor.outbox(young).compared for donor in donors), 5)
    assert rows_sent(*donors) == 10_000
    assert not any(sent.message.want for donor in donors for sent in donor.bus.sent)


def test_a_node_that_starts_and_gets_nothing_is_compared_with_all_the_same() -> None:
    world, side, other = with_node()
    side.table["k"] = "x"
    world.run(1)
    wants: list[float] = []

    def answer(sent: Sent) -> Reply:
        if sent.message.want is not None:
            wants.append(sent.time)
        if sent.message.ask is None:
            return Reply(200)
        sums = {"t": Summary(3, 0, 2, [[0] * 15 + [1] for _ in sent.message.ask["t"]], 1)}
        return Reply(200, body=encode(Answer(side.store.clock.raw_ms(), sums=sums, ready=False)))

    other.answer = answer
    began = world.clock.time
    side.store.repair.want(other.uri)
    world.until(lambda: bool(wants), 10)
    assert FILLING_S[1] <= wants[0] - began < 3 * FILLING_S[1]


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


def test_all_nodes_that_answer_are_compared_with_when_our_clock_was_set() -> None:
    world = World()
    sides = [world.side(f"127.0.0.{host}", repair_interval=1_000) for host in (11, 12, 13)]
    world.mesh(*sides)
    world.run(5)
    sides[0].bus.sent.clear()
    sides[0].store.repair.want_all()
    world.run(1)
    asked = {sent.to for sent in sides[0].bus.sent if sent.message.ask is not None}
    assert asked == {sides[1].uri, sides[2].uri}
