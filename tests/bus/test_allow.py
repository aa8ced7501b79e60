"""The allow list: its entries, its answers, and names whose addresses change."""

from __future__ import annotations

import ipaddress

import pytest

from dmqcache.bus.allow import MAX_ENTRIES, AllowError, AllowList, parse_entry


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("10.0.0.11", ipaddress.ip_network("10.0.0.11/32")),
        (" 10.0.0.0/24 ", ipaddress.ip_network("10.0.0.0/24")),
        ("fd00::/8", ipaddress.ip_network("fd00::/8")),
        ("Node-1.example.ORG.", "node-1.example.org"),
        ("_sip._udp.example.org", "_sip._udp.example.org"),
    ],
)
def test_an_entry_is_an_address_a_network_or_a_name(text: str, entry: object) -> None:
    assert parse_entry(text) == entry


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("10.0.0.7/24", "write 10.0.0.0/24"),
        ("10.0.0.0/33", "is no network"),
        ("10.0.0.300", "four numbers"),
        ("10.0.0", "four numbers"),
        ("", "is no address"),
        ("a b", "is no address"),
        ("sip:10.0.0.1", "is no address"),
        ("a..b", "is no address"),
        ("a" * 70, "is no address"),
    ],
)
def test_what_is_no_entry_is_told_what_to_write(text: str, says: str) -> None:
    with pytest.raises(AllowError, match=says) as caught:
        parse_entry(text)
    assert repr(text) not in str(caught.value), "who knows from where it came says it"


def test_without_a_list_everybody_may_speak() -> None:
    assert AllowList().allows("192.0.2.1")
    assert not AllowList()


def test_a_list_allows_what_it_names_and_nothing_else() -> None:
    listed = AllowList([parse_entry("10.0.0.0/24"), parse_entry("fd00::1")])
    assert listed.allows("10.0.0.200")
    assert listed.allows("fd00::1")
    assert listed.allows("fd00::1%eth0")
    assert not listed.allows("10.0.1.1")
    assert not listed.allows("fd00::2")
    assert not listed.allows("nonsense")


def test_a_name_allows_its_addresses_and_keeps_them_when_the_dns_fails() -> None:
    listed = AllowList([parse_entry("node.example")])
    assert not listed.allows("10.0.0.1")
    assert listed.resolved({"node.example": ["10.0.0.1", "fe80::1%eth0"]})
    assert listed.allows("10.0.0.1")
    assert listed.allows("fe80::1%eth0")
    assert not listed.resolved({"node.example": []})
    assert listed.allows("10.0.0.1")
    assert listed.resolved({"node.example": ["10.0.0.2"]})
    assert not listed.allows("10.0.0.1")
    assert listed.allows("10.0.0.2")


def test_names_of_nobody_change_nothing() -> None:
    listed = AllowList([parse_entry("node.example")])
    assert not listed.resolved({"other.example": ["10.0.0.9"]})
    assert not listed.allows("10.0.0.9")


def test_a_list_is_bounded() -> None:
    with pytest.raises(AllowError, match="write networks"):
        AllowList([parse_entry(f"10.0.{n // 256}.{n % 256}") for n in range(MAX_ENTRIES + 1)])
