"""Options of a store for tests that name only what they are about."""

from __future__ import annotations

from typing import Any

from dmqcache.store.store import StoreOptions


def store_options(**changes: Any) -> StoreOptions:
    """Long intervals and wide limits, but for what is given."""
    options: dict[str, Any] = {
        "outbox_limit": 200_000,
        "repair_interval": 10.0,
        "tombstone_ttl": 900.0,
        "tombstone_limit": 100_000,
        "max_value_bytes": 1 << 20,
        "kamailio_message_bytes": {},
        "join_wait": 0.0,
    }
    return StoreOptions(**options | changes)
