"""Addresses are known at once, names later."""

from __future__ import annotations

import pytest

from dmqcache.bus.admission import Admission
from dmqcache.bus.bus_counters import BusCounters
from dmqcache.bus.nodes.resolution import MAX_SAID, Addresses, node_uri
from dmqcache.bus.sip.uri import Endpoint, NodeURI
from tests.bus.virtual import Clock, Names


def test_an_ip_address_is_found_within_the_call_and_nobody_is_asked() -> None:
    clock = Clock()
    names = Names(clock)
    found: list[list[Endpoint]] = []
    Addresses(names, Admission(), BusCounters()).find(
        NodeURI.parse("sip:[::1]:5062;transport=tcp"), found.append
    )
    assert found == [[Endpoint("tcp", "::1", 5062)]] and not names.asked


def test_a_name_is_found_later() -> None:
    clock = Clock()
    found: list[list[Endpoint]] = []
    addresses = Addresses(
        Names(clock, {"kam.example": ["127.0.0.12", "127.0.0.13"]}), Admission(), BusCounters()
    )
    addresses.find(NodeURI.parse("kam.example:5070"), found.append)
    addresses.find(NodeURI.parse("nowhere.example"), found.append)
    assert not found
    clock.run(1)
    assert found == [[Endpoint("udp", "127.0.0.12", 5070), Endpoint("udp", "127.0.0.13", 5070)], []]


def test_an_endpoint_and_its_canonical_uri_lead_to_each_other() -> None:
    for text in ("127.0.0.12", "sip:[::1]:5062;transport=tcp"):
        uri = NodeURI.parse(text)
        assert uri.endpoint is not None and node_uri(uri.endpoint) == uri


def test_who_may_not_be_a_node_is_never_found() -> None:
    clock, counters = Clock(), BusCounters()
    found: list[list[Endpoint]] = []
    names = Names(clock, {"kam.example": ["127.0.0.12", "127.0.0.13"]})
    addresses = Addresses(names, Admission(allows=lambda host: host == "127.0.0.13"), counters)
    addresses.find(NodeURI.parse("sip:kam.example"), found.append)
    clock.run(1)
    addresses.find(NodeURI.parse("sip:127.0.0.12"), found.append)
    assert found == [[Endpoint("udp", "127.0.0.13", 5060)], []]
    assert counters.drops == {"node_not_allowed": 2}


def test_families_that_are_not_served_are_left_out_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    clock, counters = Clock(), BusCounters()
    caplog.set_level("INFO")
    names = Names(clock, {"dual.example": ["fd00::12", "127.0.0.12"], "six.example": ["fd00::13"]})
    addresses = Addresses(names, Admission(), counters, lambda host: ":" not in host)
    found: list[list[Endpoint]] = []
    for _ in range(3):
        for name in ("dual.example", "six.example", "[fd00::14]"):
            addresses.find(NodeURI.parse(name), found.append)
    clock.run(1)
    assert sorted(found) == [[]] * 6 + [[Endpoint("udp", "127.0.0.12", 5060)]] * 3
    assert len(caplog.records) == 3 and "fd00::12 is left out" in caplog.text and not counters.drops


def test_names_without_end_fill_no_log(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    caplog.set_level("INFO")
    hosts = [f"n{number}.example" for number in range(3 * MAX_SAID)]
    addresses = Addresses(
        Names(clock, {host: ["fd00::12"] for host in hosts}),
        Admission(),
        BusCounters(),
        lambda host: ":" not in host,
    )
    for host in hosts:
        addresses.find(NodeURI.parse(host), lambda endpoints: None)
    clock.run(1)
    assert len(caplog.records) == MAX_SAID
