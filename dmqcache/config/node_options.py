"""The options of ``dmqcache serve`` as keyword arguments of a node in a program, with their types.

For editors and type checkers: names, defaults and meanings are those of ``options.py``, values are checked by
``config.py``. A text is always good, as on the command line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from dmqcache.bus.sip.uri import NodeURI
from dmqcache.store.table.read_through import Duration

#: ``sip:10.0.0.11:5060``
Address = str | NodeURI
#: ``users=>autoexpire=3600``, or a mapping with a ``name``.
TableDeclaration = str | Mapping[str, Any]
#: Seconds, or a timedelta.
Time = float | str | Duration


class NodeOptions(TypedDict, total=False):
    """What a :class:`~dmqcache.cache_node.CacheNode` takes. Each may be left out."""

    server_address: Address
    notification_address: Address | Sequence[Address]
    notification_addresses: Address | Sequence[Address]
    notification_channel: str
    source_address: str | Sequence[str]
    known_channel: str | Sequence[str]
    listen_address: Address | Sequence[Address]
    alias: Address | Sequence[Address]
    allow: str | Sequence[str]
    tls_certificate: str | Path | None
    tls_key: str | Path | None
    tls_ca: str | Path | None
    tls_require_certificate: str
    table: TableDeclaration | Sequence[TableDeclaration]
    tables: TableDeclaration | Sequence[TableDeclaration]
    client_address: str | None
    client_socket: str | Path | None
    client_password_file: str | Path | None
    client_acl_file: str | Path | None
    client_tls_address: str | None
    client_tls_certificate: str | Path | None
    client_tls_key: str | Path | None
    client_tls_ca: str | Path | None
    allow_open: bool | str
    channel: str | Sequence[str]
    notify_keyspace_events: str
    rpc_socket: str | Path | None
    http_address: str | None
    http_token_file: str | Path | None
    http_protect: str
    http_host: str | Sequence[str]
    http_tls: bool | str
    ping_interval: Time
    probe_interval: Time
    remove_inactive: Time
    num_workers: int | str
    t1: Time
    t2: Time
    peer: str | Sequence[str]
    max_value_bytes: int | str
    max_memory: int | str
    max_memory_policy: str
    kamailio_message_bytes: str | Sequence[str]
    outbox_limit: int | str
    repair_interval: Time
    tombstone_ttl: Time
    tombstone_limit: int | str
    join_wait: Time
    stop_timeout: Time
    data_dir: str | Path | None
    flush_interval: Time
    db_url: str | None
    db_password_file: str | Path | None
    key_name_column: str
    key_type_column: str
    value_type_column: str
    key_value_column: str
    expires_column: str
    array_size_suffix: str
    fetch_rows: int | str
    db_expires: bool | str
    log_level: str
    log_format: str
    bus_key_file: str | Path | None
    bus_key_require: str
    kamailio: str | Sequence[str]
