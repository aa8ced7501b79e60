"""A test of the tests: the campaign notices what members do that should be refused, once it is believed."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from dmqcache.store.kamailio import htable
from dmqcache.store.native import replica
from dmqcache.store.native.floors import Floors
from dmqcache.store.table import merge as arrivals
from dmqcache.store.table.table import Table
from tests.simulation.campaign import run_seed
from tests.simulation.faults import draw
from tests.simulation.hostile import LIES, NAMES, body_of
from tests.simulation.runtime import EPOCH_MS

#: Seeds within which something must be found.
SEEDS = 80

Patch = pytest.MonkeyPatch


@pytest.mark.parametrize("name", NAMES)
def test_each_body_is_the_same_each_time_and_json_where_it_should_be(name: str) -> None:
    body = body_of(name, "k0", EPOCH_MS)
    assert body == body_of(name, "k0", EPOCH_MS)
    if name in LIES:
        json.loads(body)


def rows_are_believed_whatever_they_say(patch: Patch) -> None:
    patch.setattr(arrivals, "fault", lambda row, limit: None)


def an_older_wire_is_taken_for_ours(patch: Patch) -> None:
    for module in (replica, htable):
        patch.setattr(module, "other_wire", lambda supported: None)


def a_flush_is_told_and_not_waited_for(patch: Patch) -> None:
    def wrong(self: Floors, table: Table) -> None:
        for outbox in self._outboxes.values():
            if outbox.native:
                self.tell(table, outbox.node)

    patch.setattr(Floors, "tell_all", wrong)


@pytest.mark.parametrize(
    ("breakage", "event"),
    [
        (rows_are_believed_whatever_they_say, "lie"),
        (an_older_wire_is_taken_for_ours, "older"),
        (a_flush_is_told_and_not_waited_for, "flush"),
    ],
)
def test_the_campaign_notices(breakage: Callable[[Patch], None], event: str, monkeypatch: Patch) -> None:
    breakage(monkeypatch)
    telling = (seed for seed in range(SEEDS) if any(one.what == event for one in draw(seed).events))
    seed = next(seed for seed in telling if run_seed(seed).problems)
    monkeypatch.undo()
    assert not run_seed(seed).problems
