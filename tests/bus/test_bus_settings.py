"""Options of a bus, and what follows from them at once."""

from __future__ import annotations

import logging

import pytest

from dmqcache.bus.bus_settings import MIN_PING_INTERVAL, BusSettings
from dmqcache.bus.sip.uri import NodeURI
from tests.bus.virtual import Cluster

HERE = NodeURI.parse("127.0.0.11")


def test_the_server_address_must_be_an_ip_address() -> None:
    with pytest.raises(ValueError, match=r"must be an IP address, not sip:host\.example:5060"):
        BusSettings(NodeURI.parse("host.example")).checked()
    with pytest.raises(ValueError, match="must be an IP address"):
        Cluster().add("host.example")


def test_the_others_are_the_notification_addresses_that_are_not_our_own() -> None:
    there, alias, real = map(NodeURI.parse, ("127.0.0.12", "192.0.2.1", "0.0.0.0"))
    settings = BusSettings(HERE, (HERE, there, alias, real), aliases=(alias,), listens=(real,))
    assert settings.others() == (there,)


def test_a_short_ping_interval_is_raised_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="dmqcache"):
        settings = BusSettings(HERE, ping_interval=5.0).checked()
    assert settings.ping_interval == MIN_PING_INTERVAL == 60.0
    assert "ping_interval 5 s is raised to 60 s" in caplog.text
    assert Cluster().add("127.0.0.11", ping_interval=5.0).settings.ping_interval == 60.0


def test_what_is_right_stays_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    settings = BusSettings(HERE, ping_interval=90.0)
    assert settings.checked() is settings and not caplog.text


def test_the_families_that_are_served_are_those_in_which_we_listen() -> None:
    settings = BusSettings(HERE)
    assert settings.serves("10.0.0.1") and not settings.serves("fd00::1")
    both = BusSettings(HERE, listens=(NodeURI.parse("0.0.0.0:5060"), NodeURI.parse("[::]:5060")))
    assert both.serves("10.0.0.1") and both.serves("fd00::1")
