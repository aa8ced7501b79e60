"""Addresses are known at once, names later."""

from __future__ import annotations

from dmqcache.bus.nodes.resolution import Addresses, node_uri
from dmqcache.bus.sip.uri import Endpoint, NodeURI
from tests.bus.virtual import Clock, Names


def test_an_ip_address_is_found_within_the_call_and_nobody_is_asked() -> None:
    clock = Clock()
    names = Names(clock)
    found: list[list[Endpoint]] = []
    Addresses(names).find(NodeURI.parse("sip:[::1]:5062;transport=tcp"), found.append)
    assert found == [[Endpoint("tcp", "::1", 5062)]] and not names.asked


def test_a_name_is_found_later() -> None:
    clock = Clock()
    found: list[list[Endpoint]] = []
    addresses = Addresses(Names(clock, {"kam.example": ["127.0.0.12", "127.0.0.13"]}))
    addresses.find(NodeURI.parse("kam.example:5070"), found.append)
    addresses.find(NodeURI.parse("nowhere.example"), found.append)
    assert not found
    clock.run(1)
    assert found == [[Endpoint("udp", "127.0.0.12", 5070), Endpoint("udp", "127.0.0.13", 5070)], []]


def test_an_endpoint_and_its_canonical_uri_lead_to_each_other() -> None:
    for text in ("127.0.0.12", "sip:[::1]:5062;transport=tcp"):
        uri = NodeURI.parse(text)
        assert uri.endpoint is not None and node_uri(uri.endpoint) == uri
