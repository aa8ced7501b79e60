"""LATENCY GRAPH and DOCTOR: what they say of moments, beside what a real Redis says of the same ones."""

from __future__ import annotations

import pytest

from dmqcache.server.resp.latency import Latency, Sample
from dmqcache.server.resp.latency_report import COLUMNS, graph, report
from tests.server.fakes import FakeTime
from tests.server.resp.rival import Speaker, redis_server

#: What a Redis 7.0.15 kept, and drew and counted of it.
KEPT = [
    Sample(1795765800 + time, took)
    for time, took in ((4, 27), (5, 67), (6, 27), (8, 157), (9, 135), (10, 188))
]
NOW = 1795765811
DRAWN = "\n".join(
    (
        "command - high 188 ms, low 27 ms (all time high 188 ms)",
        "-" * 80,
        *("   _ #", "   |#|", "   |||", "_#_|||", "      ", "765321", "ssssss", ""),
    )
)
COUNTED = (
    "1. command: 6 latency spikes (average 100ms, mean deviation 59ms, period 1.17 sec). "
    "Worst all time event 188ms."
)


@pytest.fixture
def latency() -> Latency:
    return Latency(FakeTime().wall, lambda wanted: None)


def test_a_graph_is_redis_own() -> None:
    assert graph("command", KEPT, 188, NOW) == DRAWN


def test_ages_are_written_downwards_in_their_largest_unit() -> None:
    ages = (0, 59, 60, 3_599, 3_600, 86_399, 86_400, 900_000)
    lines = graph("x", [Sample(NOW - age, 5) for age in ages], 7, NOW).splitlines()
    assert lines[2:] == [" " * 8] * 3 + ["_" * 8] + [" " * 8, "05151211", "s9m9h3d0", " s m h d"]


def test_many_are_drawn_one_part_below_the_other() -> None:
    samples = [Sample(NOW, number) for number in range(COLUMNS + 2)]
    parts = graph("x", samples, 81, NOW).split("\n\n")
    assert len(parts) == 2
    assert parts[1].splitlines()[:4] == ["##", "||", "||", "||"]


def test_a_report_counts_as_redis_does_and_says_where_to_look(latency: Latency) -> None:
    assert "latency-monitor-threshold" in report(latency, 10_000, NOW)
    latency.note_from(25)
    assert report(latency, 10_000, NOW) == "No latency spike of 25 ms or more was observed.\n"
    time = FakeTime()
    latency = Latency(lambda: time.seconds, lambda wanted: None)
    latency.note_from(25)
    for sample in KEPT:
        time.seconds = sample.time
        latency.took("command", sample.milliseconds / 1000 + 0.0001)
    said = report(latency, 10_000, NOW)
    assert COUNTED in said.splitlines() and "slowlog-log-slower-than" not in said
    for slower_than in (-1, 25_001):
        assert "CONFIG SET slowlog-log-slower-than 25000" in report(latency, slower_than, NOW)


@pytest.mark.interop
def test_a_real_redis_draws_the_same() -> None:
    with redis_server() as address:
        client = Speaker(address)
        client.say(["CONFIG", "SET", "latency-monitor-threshold", "1"])
        client.say(["EVAL", "local n = 0 while n < 3000000 do n = n + 1 end", "0"])
        (sample,) = client.say(["LATENCY", "HISTORY", "command"])
        drawn = client.say(["LATENCY", "GRAPH", "command"]).decode()
        said = client.say(["LATENCY", "DOCTOR"]).decode()
        client.close()
    samples = [Sample(*sample)]
    assert drawn in [graph("command", samples, sample[1], sample[0] + age) for age in range(10)]
    latency = Latency(lambda: float(sample[0]), lambda wanted: None)
    latency.note_from(1)
    latency.took("command", (sample[1] + 0.5) / 1000)
    (counted,) = (line for line in report(latency, 0, sample[0]).splitlines() if line.startswith("1. "))
    assert counted.partition(", period")[0] in said
