"""When commands took long: what is noted, one moment a second, and forgotten."""

from __future__ import annotations

import pytest

from dmqcache.server.resp.latency import MAX_SAMPLES, Latency
from tests.server.fakes import EPOCH, FakeTime


@pytest.fixture
def time() -> FakeTime:
    return FakeTime(0.0)


@pytest.fixture
def told() -> list[bool]:
    return []


@pytest.fixture
def latency(time: FakeTime, told: list[bool]) -> Latency:
    return Latency(time.wall, told.append)


def test_nothing_is_noted_until_it_is_wanted(latency: Latency, told: list[bool]) -> None:
    latency.took("command", 5.0)
    latency.note_from(10)
    latency.took("command", 0.009)
    assert latency.latest() == [] and latency.history("command") == []
    latency.took("command", 0.0105)
    assert latency.latest() == [["command", int(EPOCH), 10, 10]]
    latency.note_from(0)
    assert told == [True, False]


def test_of_a_second_the_longest_is_kept(latency: Latency, time: FakeTime) -> None:
    latency.note_from(1)
    for seconds in (0.005, 0.030, 0.020):
        latency.took("command", seconds)
    time.seconds += 1
    latency.took("command", 0.002)
    latency.took("fast-command", 0.003)
    now = int(EPOCH)
    assert latency.history("command") == [(now, 30), (now + 1, 2)]
    assert latency.latest() == [["command", now + 1, 2, 30], ["fast-command", now + 1, 3, 3]]
    for _ in range(2 * MAX_SAMPLES):
        time.seconds += 1
        latency.took("command", 0.002)
    assert len(latency.history("command")) == MAX_SAMPLES


def test_kinds_are_forgotten(latency: Latency) -> None:
    latency.note_from(1)
    for kind in ("a", "b", "c"):
        latency.took(kind, 1.0)
    assert latency.reset(["a", "a", "x"]) == 1
    assert latency.reset([]) == 2
    assert latency.latest() == []
