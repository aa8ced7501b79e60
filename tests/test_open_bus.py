"""What the bus on real sockets adds to the bus: here, that a wrong notification address is said."""

from __future__ import annotations

import pytest

from dmqcache.bus.runtime import Resolved
from dmqcache.bus.sip.uri import Endpoint, NodeURI
from dmqcache.open_bus import SeedResolver

SEED = NodeURI.parse("sip:nowhere.invalid:5060")
OTHER = NodeURI.parse("sip:elsewhere.invalid:5060")


class Told:
    """A resolver that finds what it is told to."""

    def __init__(self) -> None:
        self.endpoints: list[Endpoint] = []

    def resolve(self, uri: NodeURI, callback: Resolved) -> None:
        callback(self.endpoints)


def test_a_notification_address_that_does_not_resolve_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("WARNING", "dmqcache")
    told, found = Told(), list[list[Endpoint]]()
    resolver = SeedResolver(told, [SEED])
    for uri in (SEED, SEED, OTHER):
        resolver.resolve(uri, found.append)
    assert found == [[], [], []]
    assert caplog.messages == [
        f"notification address {SEED}: nowhere.invalid does not resolve, it is asked again"
    ]
    told.endpoints = [Endpoint("udp", "127.0.0.1", 5060)]
    resolver.resolve(SEED, found.append)
    told.endpoints = []
    resolver.resolve(SEED, found.append)
    assert len(caplog.messages) == 2
