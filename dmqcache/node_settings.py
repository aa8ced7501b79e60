"""What the configuration of a node is to its parts: the settings of the bus, its security, and of the store.

Builds nothing and reads no file: that is ``cache_node.py``'s, and the parts' own.
"""

from __future__ import annotations

from dmqcache.bus.allow import AllowList
from dmqcache.bus.bus_settings import BusSettings
from dmqcache.bus.net.tls import TlsOptions
from dmqcache.config.config import Config
from dmqcache.release import SOFTWARE
from dmqcache.socket_bus import KeyOptions, Security
from dmqcache.store.store import StoreOptions


def bus_settings(config: Config) -> BusSettings:
    """How the bus behaves."""
    return BusSettings(
        server_address=config.server_address,
        notification_addresses=config.notification_addresses,
        notification_channel=config.notification_channel,
        sources=config.source_addresses,
        known_channels=frozenset(config.known_channels),
        remove_inactive=config.remove_inactive,
        ping_interval=config.ping_interval,
        num_workers=config.num_workers,
        t1=config.t1,
        t2=config.t2,
        probe_interval=config.probe_interval,
        user_agent=SOFTWARE,
        aliases=config.aliases,
    )


def security(config: Config) -> Security:
    """Who is heard on the bus, and by which certificate and key."""
    tls = None
    if config.tls_certificate and config.tls_key and config.tls_ca:
        required = config.tls_require_certificate == "yes"
        tls = TlsOptions(config.tls_certificate, config.tls_key, config.tls_ca, required)
    key = None
    if config.bus_key_file is not None:
        required = config.bus_key_require == "yes"
        key = KeyOptions(config.bus_key_file, required, AllowList(config.kamailio))
    return Security(AllowList(config.allow), tls, key)


def store_options(config: Config) -> StoreOptions:
    """How tables are kept and replicated."""
    return StoreOptions(
        outbox_limit=config.outbox_limit,
        repair_interval=config.repair_interval,
        tombstone_ttl=config.tombstone_ttl,
        tombstone_limit=config.tombstone_limit,
        max_value_bytes=config.max_value_bytes,
        kamailio_message_bytes=dict(config.kamailio_message_bytes),
        join_wait=config.join_wait,
    )
