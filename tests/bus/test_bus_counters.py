"""The bus's counters: a channel's begin at 0, and names of unknown channels are few."""

from __future__ import annotations

from dmqcache.bus.bus_counters import MAX_CHANNEL_NAME, MAX_UNKNOWN_CHANNELS, BusCounters


def test_a_served_channel_stands_at_0() -> None:
    counters = BusCounters()
    counters.serve_channel("htable")
    assert dict(counters.handler_errors) == dict(counters.timeouts) == {"htable": 0}
    counters.handler_errors["htable"] += 1
    counters.serve_channel("htable")
    assert counters.handler_errors["htable"] == 1


def test_unknown_channels_are_counted_by_name_as_long_as_they_are_few() -> None:
    counters = BusCounters()
    for number in range(MAX_UNKNOWN_CHANNELS + 30):
        counters.unknown_channel(f"c{number}", from_node=True)
    counters.unknown_channel("c3", from_node=False)
    assert counters.unknown_channels["c3"] == 2
    assert counters.unknown_channels["other"] == 30
    assert len(counters.unknown_channels) == MAX_UNKNOWN_CHANNELS + 1
    assert counters.drops["unknown_channel"] == MAX_UNKNOWN_CHANNELS + 31


def test_only_nodes_name_channels() -> None:
    counters = BusCounters()
    counters.unknown_channel("invented", from_node=False)
    assert dict(counters.unknown_channels) == {"other": 1}


def test_names_are_short() -> None:
    counters = BusCounters()
    counters.unknown_channel("x" * 5000, from_node=True)
    assert list(counters.unknown_channels) == ["x" * MAX_CHANNEL_NAME]


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


def test_channels_that_an_operator_knows_are_no_drops() -> None:
    counters = BusCounters(known_channels=frozenset({"usrloc"}))
    counters.unknown_channel("usrloc", from_node=True)
    counters.unknown_channel("dialog", from_node=True)
    assert dict(counters.drops) == {"unknown_channel": 1} and dict(counters.unknown_channels) == {"dialog": 1}
