"""The same as ``test_breakages.py`` for what only some runs draw: each breakage is looked for in those."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count, islice
from typing import Any

import pytest

from dmqcache.store.kamailio.writes import KamailioArrivals
from dmqcache.store.native.initial_sync import InitialSync
from dmqcache.store.outbox.emptying import Emptying
from dmqcache.store.outbox.waiters import Waiters
from dmqcache.store.table import merge as arrivals
from dmqcache.store.table import version
from dmqcache.store.table.clock import version_at
from dmqcache.store.table.floor_raising import raise_floor
from dmqcache.store.table.table import Table
from tests.simulation.campaign import live_again, run_seed
from tests.simulation.faults import Event, Scenario, draw
from tests.store_options import store_options

#: Seeds that draw it, within which something must be found.
SEEDS = 80
#: Milliseconds by which a broken flush lies ahead.
AHEAD_MS = 3_000

Patch = pytest.MonkeyPatch


def rows_are_not_looked_at(patch: Patch) -> None:
    patch.setattr(arrivals, "fault", lambda row, limit: None)


def an_older_wire_is_taken_for_a_kamailio(patch: Patch) -> None:
    patch.setattr("dmqcache.store.store.other_wire", lambda supported: None)


def who_leaves_waits_for_nobody(patch: Patch) -> None:
    """What it wrote in its last moment is told nobody."""

    def wrong(self: Emptying, timeout: float, then: Callable[[], None]) -> None:
        self._ground.stopped = True
        then()

    patch.setattr(Emptying, "start", wrong)


def a_flush_deletes_what_is_known_here_alone(patch: Patch) -> None:
    """What another node wrote before it, and nobody here has heard of yet, comes back."""

    def wrong(self: Table) -> int:
        return sum(self.delete(key) for key in list(self))

    patch.setattr(Table, "flush", wrong)


def a_flush_deletes_what_is_written_after_it(patch: Patch) -> None:
    whole = Table.flush

    def wrong(self: Table) -> int:
        number = whole(self)
        raise_floor(self, self.clock.version() + version_at(AHEAD_MS))
        return number

    patch.setattr(Table, "flush", wrong)


def a_client_that_goes_away_still_waits(patch: Patch) -> None:
    whole = Waiters.wait

    def wrong(self: Waiters, *args: Any) -> Callable[[], object]:
        whole(self, *args)
        return lambda: None

    patch.setattr(Waiters, "wait", wrong)


def who_can_ask_nobody_waits_for_nobody(patch: Patch) -> None:
    patch.setattr(InitialSync, "_may_come", lambda self: 0.0)


def what_a_kamailio_deletes_stays(patch: Patch) -> None:
    patch.setattr(KamailioArrivals, "arrive_delete", lambda self, key, sender, sent=None: False)


def a_later_version_of_a_counter_costs_a_share(patch: Patch) -> None:
    """Then each start of a node beside a 6.2 leaves one, and others' increments are folded too early."""

    def wrong(self: Table, key: str) -> None:
        if self.live_cell(key) is not None:
            self.incr(key, 0)

    patch.setattr(Table, "date_anew", wrong)


def who_keeps_no_times_makes_keys_endless(patch: Patch) -> None:
    patch.setattr(version, "UNTIMED", 0)


def writes(what: str) -> Callable[[Scenario], bool]:
    """Whether something of that name happens."""
    return lambda scenario: any(event.what == what for event in scenario.events)


def asks_nobody(scenario: Scenario) -> bool:
    """Whether the first node has no notification address but itself, and starts again."""
    starts = [event for event in scenario.events if event.what == "start" and event.args == (0,)]
    return scenario.seeds == 1 and len(starts) > 1 and scenario.kinds[0] == "dmqcache"


@pytest.mark.parametrize(
    ("breakage", "drawn"),
    [
        (rows_are_not_looked_at, writes("lie")),
        (an_older_wire_is_taken_for_a_kamailio, writes("older")),
        (who_leaves_waits_for_nobody, writes("leave")),
        (a_flush_deletes_what_is_known_here_alone, writes("flush")),
        (a_flush_deletes_what_is_written_after_it, writes("flush")),
        (a_client_that_goes_away_still_waits, writes("wait")),
        (who_can_ask_nobody_waits_for_nobody, asks_nobody),
        (what_a_kamailio_deletes_stays, writes("k_careful")),
    ],
)
def test_the_campaign_notices_where_it_is_drawn(
    breakage: Callable[[Patch], None], drawn: Callable[[Scenario], bool], monkeypatch: Patch
) -> None:
    seeds = (seed for seed in count() if drawn(draw(seed)))
    breakage(monkeypatch)
    seed = next(seed for seed in islice(seeds, SEEDS) if run_seed(seed).problems)
    monkeypatch.undo()
    assert not run_seed(seed).problems


def beside_a_later_kamailio(nodes: int, events: list[Event], until: float) -> Scenario:
    """So many nodes of ours and, as the last, a Kamailio 6.2 that writes nothing by itself."""
    kinds = ["dmqcache"] * nodes + ["kamailio62"]
    return Scenario(
        seed=0,
        kinds=kinds,
        tables=["plain"],
        options=store_options(),
        seeds=3,
        skews_ms=[0] * len(kinds),
        until=until,
        sane=True,
        events=events,
        kamailios_write=False,
    )


def one_knows_a_key_with_a_time_from_a_kamailio_alone() -> Scenario:
    """Two nodes of ours that do not hear each other, and a Kamailio 6.2, which shows when a cell was written
    and keeps no times in this table. The second node starts anew and has the first one's key from there."""
    events = [
        *(Event(0.0, "start", (number,)) for number in range(3)),
        *(Event(5.0, "cut", pair) for pair in ((0, 1), (1, 0))),
        Event(5.0, "crash", (1,)),
        Event(6.0, "set", (0, "plain", "k1", "v1", 20.0)),
        Event(7.0, "start", (1,)),
        *(Event(15.0, "uncut", pair) for pair in ((0, 1), (1, 0))),
    ]
    return beside_a_later_kamailio(2, events, until=30.0)


def test_a_key_that_a_kamailio_knows_without_its_time_would_be_noticed(monkeypatch: Patch) -> None:
    who_keeps_no_times_makes_keys_endless(monkeypatch)
    _, broken = live_again(one_knows_a_key_with_a_time_from_a_kamailio_alone())
    assert any("plain/k1 shows 'v1'" in problem for problem in broken.problems)
    monkeypatch.undo()
    _, whole = live_again(one_knows_a_key_with_a_time_from_a_kamailio_alone())
    assert not whole.problems


def one_hears_an_increment_and_is_away_while_its_node_restarts() -> Scenario:
    """Three nodes of ours and a Kamailio 6.2. The first one's second increment is heard by the second one
    alone, which is then cut off; the first starts ten times beside the others, where the counter goes on."""
    events = [
        *(Event(0.0, "start", (number,)) for number in range(4)),
        Event(5.0, "incr", (0, "plain", "r1", 1)),
        *(Event(6.0, "cut", (0, other)) for other in (2, 3)),
        Event(6.2, "incr", (0, "plain", "r1", 1)),
        Event(6.3, "partition", ((0, 2, 3), (1,))),
        Event(6.35, "crash", (0,)),
        *(Event(6.4, "uncut", (0, other)) for other in (2, 3)),
    ]
    for life in range(10):
        begins = 7.0 + 5.0 * life
        events.append(Event(begins, "start", (0,)))
        events.append(Event(begins + 4.0, "incr", (2, "plain", "r1", 1)))
        events.append(Event(begins + 4.5, "crash", (0,)))
    events.append(Event(58.0, "start", (0,)))
    return beside_a_later_kamailio(3, events, until=60.0)


def test_a_share_for_each_start_beside_a_later_kamailio_would_be_noticed(monkeypatch: Patch) -> None:
    """The judge says which increment is lost."""
    a_later_version_of_a_counter_costs_a_share(monkeypatch)
    _, broken = live_again(one_hears_an_increment_and_is_away_while_its_node_restarts())
    assert any("lacks increments of 0x2" in problem for problem in broken.problems)
    monkeypatch.undo()
    _, whole = live_again(one_hears_an_increment_and_is_away_while_its_node_restarts())
    assert not whole.problems


def the_first_starts_again_beside_an_empty_one() -> Scenario:
    """Three nodes of ours; the first, the others' only notification address, and the third start at once.
    The second, which knows a key, comes to them a moment later."""
    events = [
        *(Event(0.0, "start", (number,)) for number in range(3)),
        Event(6.0, "set", (1, "plain", "k1", "v1", None)),
        *(Event(8.0, "crash", (number,)) for number in (0, 2)),
        *(Event(12.0, "start", (number,)) for number in (0, 2)),
    ]
    scenario = beside_a_later_kamailio(3, events, until=30.0)
    options = store_options(join_wait=3.0)
    return replace(scenario, kinds=["dmqcache"] * 3, skews_ms=[0] * 3, seeds=1, options=options)


def test_a_node_that_is_ready_before_others_have_come_would_be_noticed(monkeypatch: Patch) -> None:
    who_can_ask_nobody_waits_for_nobody(monkeypatch)
    _, broken = live_again(the_first_starts_again_beside_an_empty_one())
    assert any("says ready without what others had" in problem for problem in broken.problems)
    monkeypatch.undo()
    _, whole = live_again(the_first_starts_again_beside_an_empty_one())
    assert not whole.problems
