"""Django's cache on a table of a node in this process.

::

    # mysite/cache.py
    node = dmqcache.SyncCacheNode(server_address="sip:10.0.0.11:5060", tables=["django"])

    # mysite/settings.py
    CACHES = {
        "default": {
            "BACKEND": "dmqcache.adapters.django_cache.DmqCache",
            "LOCATION": "django",  # the table
            "OPTIONS": {"node": "mysite.cache.node"},
        }
    }

The program starts the node (``AppConfig.ready``, or a server's hook after its fork) and stops it. Integers
are kept as such, so that ``incr`` counts on all nodes at once; everything else is pickled, as in Django's own
backends: who may write on the bus can then make this process run what he likes, so give the bus a key.

A value that is too long for the table (over UDP 56,000 bytes, pickled and as JSON) is not kept, as by the
memcached backends: the key is empty then, ``set_many`` returns it, ``add`` returns False.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from dmqcache.store.table.cell import MAX_TTL_S, Value
from dmqcache.store.table.counts import fits
from dmqcache.store.table.table import Table
from dmqcache.sync_node import SyncCacheNode

#: Stands for no value: a key may hold None.
_NOTHING = object()


class DmqCache(BaseCache):  # type: ignore[misc]
    """A Django cache backend."""

    def __init__(self, table: str, params: dict[str, Any]) -> None:
        super().__init__(params)
        node = params.get("OPTIONS", {}).get("node")
        found = import_string(node) if isinstance(node, str) else node
        if not isinstance(found, SyncCacheNode):
            raise ImproperlyConfigured(
                "OPTIONS['node'] names a dmqcache.SyncCacheNode, e.g. mysite.cache.node"
            )
        self._node = found
        self._name = table

    def _on_table(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Do this on the node's thread, undisturbed; the first argument is the table."""
        return self._node.call(work, self._node.node.table(self._name), *arguments)

    def _life(self, timeout: Any) -> float | None:
        """Seconds to live, 0 for ever; None: none at all."""
        if timeout is DEFAULT_TIMEOUT:
            timeout = self.default_timeout
        if timeout is None:
            return 0.0
        return None if timeout <= 0 else float(timeout)

    def add(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: Any = None) -> bool:
        """Write what is not there; False where it is, or the value is too long."""
        key = self.make_and_validate_key(key, version=version)
        return bool(self._on_table(_add, key, _packed(value), self._life(timeout)))

    def get(self, key: Any, default: Any = None, version: Any = None) -> Any:
        key = self.make_and_validate_key(key, version=version)
        found = self._on_table(Table.get, key)
        return default if found is None else _unpacked(found)

    def set(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: Any = None) -> None:
        key = self.make_and_validate_key(key, version=version)
        self._on_table(_set, key, _packed(value), self._life(timeout))

    def touch(self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: Any = None) -> bool:
        key = self.make_and_validate_key(key, version=version)
        left = self._life(timeout)
        return bool(
            self._on_table(Table.delete, key)
            if left is None
            else self._on_table(Table.expire, key, min(left, MAX_TTL_S))
        )

    def delete(self, key: Any, version: Any = None) -> bool:
        return bool(self._on_table(Table.delete, self.make_and_validate_key(key, version=version)))

    def has_key(self, key: Any, version: Any = None) -> bool:
        return bool(self._on_table(Table.__contains__, self.make_and_validate_key(key, version=version)))

    def incr(self, key: Any, delta: Any = 1, version: Any = None) -> Any:
        key = self.make_and_validate_key(key, version=version)
        return self._on_table(_incr, key, delta)

    def get_many(self, keys: Iterable[Any], version: Any = None) -> dict[Any, Any]:
        names = {self.make_and_validate_key(key, version=version): key for key in keys}
        found = self._on_table(lambda table: {name: table.get(name) for name in names})
        return {names[name]: _unpacked(value) for name, value in found.items() if value is not None}

    def set_many(
        self, data: Mapping[Any, Any], timeout: Any = DEFAULT_TIMEOUT, version: Any = None
    ) -> list[Any]:
        """Write many; returns the keys whose values are too long."""
        pairs = [(key, self.make_and_validate_key(key, version=version), _packed(data[key])) for key in data]
        left = self._life(timeout)

        def write(table: Table) -> list[Any]:
            return [key for key, name, value in pairs if not _set(table, name, value, left)]

        return list(self._on_table(write))

    def delete_many(self, keys: Iterable[Any], version: Any = None) -> None:
        names = [self.make_and_validate_key(key, version=version) for key in keys]
        self._on_table(lambda table: [table.delete(name) for name in names])

    def clear(self) -> None:
        """Empty the whole table, on all nodes."""
        self._on_table(Table.clear)


def _packed(value: Any) -> Value | bytes:
    if isinstance(value, int) and not isinstance(value, bool) and -(1 << 63) <= value < 1 << 63:
        return value
    return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)


def _unpacked(value: Value) -> Any:
    return value if isinstance(value, int) else pickle.loads(value.encode("utf-8", "surrogateescape"))


def _set(table: Table, key: str, value: Value | bytes, left: float | None) -> bool:
    """Write it; False where it is too long, and what the key held before is gone."""
    taken = table.takes(value)
    if left is None or not taken:
        table.delete(key)
    else:
        table.set(key, value, ttl=min(left, MAX_TTL_S))
    return taken


def _add(table: Table, key: str, value: Value | bytes, left: float | None) -> bool:
    if key in table:
        return False
    return _set(table, key, value, left)


def _incr(table: Table, key: str, delta: Any) -> Any:
    held = table.get(key)
    if held is None:
        raise ValueError(f"Key {key!r} not found")
    if isinstance(held, int) and isinstance(delta, int) and fits(delta) and fits(held + delta):
        return table.incr(key, delta)
    total = _unpacked(held) + delta
    left = table.ttl(key)
    table.set(key, _packed(total), ttl=0 if left is None else max(left, math.ulp(1.0)))
    return total
