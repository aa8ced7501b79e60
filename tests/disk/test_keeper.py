"""What is written when, and what a later process finds: everything, and nothing that lives longer."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from dmqcache.disk import keeper as module
from dmqcache.disk.flight import PART
from dmqcache.store.table.clock import version_at
from tests.disk.keeping import Process
from tests.disk.shelf import Shelf
from tests.simulation.runtime import World


@pytest.fixture
def world() -> World:
    return World(1)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def test_what_was_written_is_on_disk_within_the_interval(world: World, shelf: Shelf) -> None:
    first = Process(world, shelf)
    rng = random.Random(7)
    written: dict[str, float] = {}
    for number in range(500):
        first.table.set(f"k{number}", number)
        written[f"k{number}"] = world.now
        world.run(rng.random() * 0.02)
    first.kill()
    second = Process(world, shelf, life=2)
    ended = world.now
    for key, at in written.items():
        assert key in second.table or at > ended - 1.0
    assert len(second.table) > 300


@pytest.mark.parametrize(("turn", "interval"), [(0.0, 0.1), (0.03, 0.2), (0.12, 1.0), (0.3, 0.2), (0.3, 1.0)])
@pytest.mark.parametrize("names", [("t",), tuple("abcdefgh")])
def test_nothing_is_missing_that_is_older_than_the_node_says(
    world: World, shelf: Shelf, turn: float, interval: float, names: tuple[str, ...]
) -> None:
    """That is the interval, or two flushes where one takes more than half of it. A flush takes two turns of a
    busy loop, one to hand everything over and one until its end is known, however many tables there are."""
    first = Process(world, shelf, *names, interval=interval, turn=turn)
    rng, written, said = random.Random(7), [0.0], []
    tables = list(first.tables.values())

    while world.now < 10 * max(interval, turn):
        for number in range(20):
            rng.choice(tables).set(f"k{rng.randrange(2_000)}", number)
        tables[-1].set("last", len(written))
        written.append(world.now)
        world.run(rng.random() * interval / 20)
        last = shelf.cells(names[-1]).get("last")
        missing = written[(int(last.value or 0) if last is not None else 0) + 1 :]
        said.append(first.keeper.behind())
        assert all(world.now - at <= said[-1] + 1e-9 for at in missing[:1])
    assert max(said) <= max(interval, 4 * turn) + turn + 0.01
    world.run(interval + 4 * turn)
    assert first.keeper.behind() == 0
    first.stop()
    assert first.keeper.behind() == 0


def test_a_disk_that_fails_is_further_and_further_behind(world: World, shelf: Shelf) -> None:
    first = Process(world, shelf)
    world.run(10)
    first.table.set("a", "x")
    assert first.keeper.behind() <= 0.5
    shelf.full = True
    world.run(30)
    assert 30 <= first.keeper.behind() <= 30.5
    shelf.full = False
    first.flush()
    assert first.keeper.behind() == 0


def test_a_clean_stop_leaves_nothing_out(world: World, shelf: Shelf) -> None:
    first = Process(world, shelf)
    first.keeper.flush(lambda good: None)
    first.table.set("during a flush", "x")
    first.stop()
    assert shelf.closed
    assert Process(world, shelf, life=2).table.get("during a flush") == "x"


def test_everything_comes_back_with_its_version(world: World, shelf: Shelf) -> None:
    first = Process(world, shelf, "t", "own=>dmqreplicate=0;autoexpire=60")
    table = first.table
    table.set("text", "x")
    table.set("number", 5)
    table.set(b"\xff".decode("utf-8", "surrogateescape"), b"\xfe")
    table.incr("count", 3)
    table.set("deleted", "x")
    table.delete("deleted")
    first.tables["own"].set("mine", "x")
    first.stop()
    second = Process(world, shelf, "t", "own=>dmqreplicate=0;autoexpire=60", life=2)
    assert second.table.digest.leaves == table.digest.leaves
    assert list(second.table.items()) == list(table.items())
    for key, cell in table.cells.items():
        other = second.table.cells[key]
        assert (other.value, other.stamp, other.ttl, other.flags, other.counts) == (
            *(cell.value, cell.stamp, cell.ttl, cell.flags, cell.counts),
        )
    assert list(second.table.tombstones) == ["deleted"]
    assert second.tables["own"].get("mine") == "x"


def test_counters_go_on_in_a_share_of_their_own(world: World, shelf: Shelf) -> None:
    total = 0
    for life in range(1, 30):
        process = Process(world, shelf, life=life)
        for by in (3, -1, life):
            total += by
            assert process.table.incr("n", by) == total
        process.flush()
        process.kill()
    assert Process(world, shelf, life=99).table.get("n") == total


def test_a_flush_of_the_table_is_kept(world: World, shelf: Shelf) -> None:
    first = Process(world, shelf)
    first.table.set("before", "x")
    first.flush()
    world.run(1)
    first.table.flush()
    world.run(1)
    first.table.set("after", "y")
    first.stop()
    assert set(shelf.cells("t")) == {"after"}
    second = Process(world, shelf, life=2)
    assert second.table.floor == first.table.floor
    assert list(second.table) == ["after"]


def test_tombstones_grow_no_older_while_the_node_is_off(world: World, shelf: Shelf) -> None:
    first = Process(world, shelf)
    first.table.set("a", "x")
    first.table.delete("a")
    world.run(100)
    first.stop()
    world.run(86_400)
    second = Process(world, shelf, life=2)
    buried = second.table.tombstones.died_at("a")
    assert buried is not None
    assert 99 <= second.clock.now() - buried <= 101
    world.run(1_000)
    second.table.collect(10, False)
    second.stop()
    assert shelf.cells("t") == {}
    assert shelf.states()["t"].forgot == first.table.cells["a"].stamp


@pytest.mark.parametrize("off_s", [0, 10, 1_000])
@pytest.mark.parametrize("jump_ms", [0, 3_600_000, -3_600_000])
@pytest.mark.parametrize("while_on", [False, True])
def test_no_time_to_live_grows_whatever_the_wall_clock_does(
    world: World, shelf: Shelf, off_s: float, jump_ms: int, while_on: bool
) -> None:
    first = Process(world, shelf)
    first.table.set("a", "x", ttl=500)
    first.table.set("for ever", "x")
    first.flush()
    if while_on:
        first.runtime.skew_ms += jump_ms
    world.run(100)
    first.stop()
    world.run(off_s)
    second = Process(world, shelf, life=2, skew_ms=jump_ms)
    assert second.table.ttl("for ever") is None
    known = 0 if while_on else jump_ms / 1000
    left = 400 - max(0, off_s + known)
    if left <= 0:
        assert "a" not in second.table
        assert second.table.cells["a"].flags
    else:
        assert second.table.ttl("a") == pytest.approx(left, abs=0.1)
        assert second.table.ttl("a") <= left  # type: ignore[operator]


def test_a_full_disk_loses_nothing_once_there_is_room(
    world: World, shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    first = Process(world, shelf)
    first.table.set("before", "x")
    assert first.flush()
    shelf.full = True
    first.table.set("a", "1")
    first.table.delete("before")
    assert not first.flush()
    world.run(30)
    assert first.status.errors > 10
    assert "full" in first.status.fault
    assert len([line for line in caplog.messages if "cannot write" in line]) == 1
    assert set(shelf.cells("t")) == {"before"}
    shelf.full = False
    assert first.flush()
    assert first.status.fault == ""
    first.kill()
    second = Process(world, shelf, life=2)
    assert list(second.table.items()) == [("a", "1")]


def test_while_the_disk_fails_names_of_what_is_gone_do_not_pile_up(
    world: World, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_GONE", 100)
    first = Process(world, shelf, tombstone_limit=0)
    for number in range(50):
        first.table.set(f"old{number}", "x")
    first.flush()
    shelf.full = True
    for number in range(300):
        first.table.set(f"k{number}", "x")
        first.table.delete(f"k{number}")
        first.table.collect(10, False)
        world.run(0.1)
    first.table.delete("old7")
    first.table.collect(10, False)
    assert first.table.touched is not None
    assert len(first.table.touched) <= 100 + 50 + 60
    shelf.full = False
    assert first.flush()
    assert sorted(map(str, shelf.cells("t"))) == sorted(first.table.cells)


def test_large_tables_go_in_parts_and_the_loop_has_its_turn(world: World, shelf: Shelf) -> None:
    first = Process(world, shelf)
    first.flush()
    for number in range(5 * PART + 1):
        first.table.set(f"k{number}", number)
    turns: list[float] = []

    def turn() -> None:
        turns.append(world.now)
        first.runtime.call_later(0.0005, turn)

    turn()
    commits = shelf.commits
    assert first.flush()
    assert shelf.commits == commits + 1
    assert len(turns) > 5
    assert len(shelf.cells("t")) == 5 * PART + 1


def test_the_names_of_a_large_flush_are_let_go_a_few_at_a_time(world: World, shelf: Shelf) -> None:
    """Freed at once, a million of them held the loop for 200 ms."""
    first = Process(world, shelf, turn=0.001)
    first.flush()
    for number in range(4 * module.LET_GO):
        first.table.set(f"k{number}", number)
    first.keeper.flush(lambda good: None)
    flight = first.keeper._flight
    assert flight is not None
    names = flight.changed["t"]
    assert len(names) == 4 * module.LET_GO
    while first.keeper._flight is flight:
        world.run(0.0005)
    sizes = [4 * module.LET_GO, len(names)]
    while names:
        world.run(0.001)
        sizes.append(len(names))
    assert max(before - after for before, after in pairwise(sizes)) == module.LET_GO


def test_an_idle_node_writes_the_time_now_and_then_and_nothing_else(world: World, shelf: Shelf) -> None:
    first = Process(world, shelf)
    world.run(5)
    commits = shelf.commits
    world.run(60)
    assert 4 <= shelf.commits - commits <= 7
    assert first.status.written == 0


def test_it_is_known_up_to_when_the_tables_reach(world: World, shelf: Shelf) -> None:
    first = Process(world, shelf)
    assert first.keeper.saved_ms() is None
    assert first.table.known == 0
    first.stop()
    stopped = first.runtime.wall_ms()
    world.run(100)
    second = Process(world, shelf, life=2)
    saved = second.keeper.saved_ms()
    assert saved is not None
    assert stopped - 100 <= saved <= stopped
    # Nobody was met: what is known reaches no further than before.
    world.run(100)
    second.stop()
    assert Process(world, shelf, life=3).keeper.saved_ms() == saved
    second = Process(world, shelf, life=4)
    second.table.known = 0
    second.stop()
    assert Process(world, shelf, life=5).table.known > version_at(saved)


def test_the_next_process_knows_what_others_were_not_told(world: World, shelf: Shelf) -> None:
    first = Process(world, shelf)
    world.run(60)
    untold = first.told_ms = first.runtime.wall_ms() - 50_000
    first.table.set("a", "x")
    assert first.flush()
    first.kill()
    second = Process(world, shelf, life=2)
    assert second.keeper.saved_ms() == untold
    # Everybody has heard of it since.
    second.table.known = 0
    second.table.set("b", "x")
    assert second.flush()
    second.kill()
    saved = Process(world, shelf, life=3).keeper.saved_ms()
    assert saved is not None and saved > untold + 50_000 - 100
    # A file of before says nothing of it.
    del shelf.notes()[module.TOLD]
    assert Process(world, shelf, life=4).keeper.saved_ms() == saved


def test_a_table_that_is_not_declared_stays_on_disk(
    world: World, shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    first = Process(world, shelf, "t", "u")
    first.tables["u"].set("a", "x")
    first.stop()
    with caplog.at_level("INFO", "dmqcache.disk"):
        second = Process(world, shelf, "t", life=2)
    assert "not declared: u" in caplog.text
    second.table.set("b", "y")
    second.stop()
    assert Process(world, shelf, "u", life=3).table.get("a") == "x"


def test_rows_that_make_no_sense_leave_no_table_half_full(world: World, shelf: Shelf) -> None:
    first = Process(world, shelf, "t", "u")
    for table in first.tables.values():
        table.set("a", "x")
        table.set("gone", "x")
        table.delete("gone")
    first.tables["u"].flush()
    first.tables["u"].set("b", "x")
    first.stop()
    shelf.cells("u")["b"] = shelf.cells("u")["b"]._replace(flags=1 << 20)
    second = Process(world, Shelf(), "t", "u", life=2)
    for table in second.tables.values():
        table.touched = None
    with pytest.raises(ValueError, match="makes no sense"):
        list(second.keeper.load(shelf.file))
    for table in second.tables.values():
        assert not table.cells and not len(table) and not table.floor and not table.known
        assert not any(table.digest.leaves)


def test_a_close_without_a_start_ends_at_once(world: World) -> None:
    process = Process(world, Shelf())
    process.stop()
    ended: list[bool] = []
    process.keeper.close(lambda: ended.append(True))
    assert ended


def test_who_does_not_wait_any_more_is_not_told(world: World, shelf: Shelf) -> None:
    first = Process(world, shelf)
    said: list[bool] = []
    forget = first.keeper.flush(said.append)
    forget()
    first.keeper.flush(said.append)()
    world.run(5)
    assert said == []


def test_what_a_flush_emptied_is_written_anew_as_a_whole(world: World, shelf: Shelf) -> None:
    first = Process(world, shelf)
    for number in range(50):
        first.table.set(f"old{number}", "x")
    assert first.flush()
    first.table.flush()
    first.table.set("new", "x")
    assert first.table.emptied
    assert first.flush()
    assert list(map(str, shelf.cells("t"))) == ["new"]
    assert not first.table.emptied
