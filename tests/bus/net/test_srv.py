"""Names of services to hosts and ports, asked of a small DNS server."""

from __future__ import annotations

from collections.abc import Iterator

import dns.resolver
import pytest

from dmqcache.bus.net import srv
from dmqcache.bus.net.srv import MAX_RECORDS, is_srv, srv_lookup
from tests.dns_server import DnsServer

NAME = "_sip._udp.kam.example"


@pytest.fixture
def server() -> Iterator[DnsServer]:
    with DnsServer({("kam.example", "A"): ["10.0.0.1"]}) as server:
        yield server


@pytest.fixture
def resolver(server: DnsServer) -> dns.resolver.Resolver:
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = [server.host], server.port
    return resolver


@pytest.mark.parametrize(
    ("host", "service"),
    [(NAME, True), ("_sip._tcp.a", True), ("kam.example", False), ("_sip.kam.example", False), ("_a", False)],
)
def test_a_service_is_told_from_a_machine_by_its_name(host: str, service: bool) -> None:
    assert is_srv(host) is service


def test_the_best_come_first(server: DnsServer, resolver: dns.resolver.Resolver) -> None:
    server.records[NAME, "SRV"] = [
        "20 9 5060 c.example.",
        "10 1 5070 b.example.",
        "10 5 5060 a.example.",
        "10 0 5060 .",
    ]
    assert srv_lookup(NAME, resolver) == [("a.example", 5060), ("b.example", 5070), ("c.example", 5060)]
    assert server.asked == [(NAME, "SRV")]


def test_a_long_list_is_cut(server: DnsServer, resolver: dns.resolver.Resolver) -> None:
    server.records[NAME, "SRV"] = [f"1 1 {5060 + number} a.example." for number in range(MAX_RECORDS + 5)]
    assert len(srv_lookup(NAME, resolver)) == MAX_RECORDS


@pytest.mark.parametrize("silent", [False, True])
def test_no_answer_and_no_such_name_are_errors_of_the_system(
    server: DnsServer,
    resolver: dns.resolver.Resolver,
    silent: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(srv, "LIFETIME_SECONDS", 0.2)
    server.silent = silent
    with pytest.raises(OSError, match="no SRV records"):
        srv_lookup(NAME, resolver)
