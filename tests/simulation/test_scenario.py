"""What a scenario says of itself."""

from __future__ import annotations

from tests.simulation.scenario import Event, Scenario
from tests.store_options import store_options


def test_how_long_a_process_stands_still_at_most() -> None:
    scenario = Scenario(1, ["dmqcache"] * 2, ["plain"], store_options(), 1, [0, 0], 60.0, sane=True)
    assert scenario.longest_stop == 0.0
    scenario.events = [Event(10.0, "stop", (0,)), Event(12.0, "go_on", (1,)), Event(15.0, "go_on", (0,))]
    assert scenario.longest_stop == 5.0
    # Until all is healed.
    scenario.events.append(Event(40.0, "stop", (1,)))
    assert scenario.longest_stop == 20.0
