"""Each default stands once, and whoever needs it has it from there."""

from __future__ import annotations

from dmqcache import defaults
from dmqcache.bus.bus_settings import BusSettings
from dmqcache.config.config import load
from dmqcache.store.table.listener import TableLimits


def test_a_bus_and_a_table_alone_have_what_the_options_say() -> None:
    config = load()
    bus, limits = BusSettings(config.server_address), TableLimits()
    both = (
        *("ping_interval", "probe_interval", "remove_inactive", "num_workers", "t1", "t2"),
        *("notification_channel", "max_value_bytes", "tombstone_ttl", "tombstone_limit"),
    )
    for name in both:
        owner = bus if hasattr(bus, name) else limits
        assert getattr(owner, name) == getattr(config, name) == getattr(defaults, name.upper()), name
    for server, port in (("client_address", defaults.CLIENT_PORT), ("http_address", defaults.HTTP_PORT)):
        assert getattr(config, server).port == port
