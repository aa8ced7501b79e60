"""What the bus counts."""

from __future__ import annotations

from dmqcache.bus.bus_counters import BusCounters


def test_all_begin_at_nothing_and_belong_to_one_node() -> None:
    one, two = BusCounters(), BusCounters()
    one.messages["htable", "in", "request"] += 1
    one.drops["late_reply"] += 2
    assert not two.messages and not two.drops
    assert one.messages["htable", "in", "request"] == 1 and one.drops.total() == 2


def test_looking_at_a_reason_does_not_make_it() -> None:
    counters = BusCounters()
    assert counters.drops["never"] == 0 and counters.timeouts["never"] == 0
    assert not counters.drops and not counters.timeouts
