"""aiocache's cache on a table of a node in this loop.

::

    async with CacheNode(server_address="sip:10.0.0.11:5060", tables=["users"]) as node:
        cache = DmqCache(node.table("users"), namespace="app:")
        await cache.set("alice", {"age": 42}, ttl=60)

        @aiocache.cached(cache=DmqCache, table=node.table("users"), ttl=60)
        async def page(number): ...

Values are JSON unless another serializer is given, so ``increment`` counts on all nodes at once, and other
programs and Kamailio read them. Nothing waits for the network.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aiocache.base import BaseCache
from aiocache.serializers import BaseSerializer, JsonSerializer

from dmqcache.store.table.cell import Value
from dmqcache.store.table.table import Table


class DmqCache(BaseCache):  # type: ignore[misc]
    """An aiocache backend. Further arguments are aiocache's: ``namespace``, ``ttl``, ``timeout``, ..."""

    NAME = "dmqcache"

    def __init__(self, table: Table, serializer: BaseSerializer | None = None, **kwargs: Any) -> None:
        super().__init__(serializer=serializer or JsonSerializer(), **kwargs)
        self._table = table

    def _build_key(self, key: Any, namespace: str | None = None) -> str:
        """A number may be a key too, without a namespace as with one."""
        return str(super()._build_key(key, namespace))

    async def _get(self, key: str, encoding: str | None = "utf-8", _conn: Any = None) -> Any:
        value = self._table.get(key)
        if value is None:
            return None
        data = str(value).encode("utf-8", "surrogateescape")
        return data if encoding is None else data.decode(encoding)

    async def _gets(self, key: str, encoding: str | None = "utf-8", _conn: Any = None) -> Any:
        return await self._get(key, encoding)

    async def _multi_get(
        self, keys: Iterable[str], encoding: str | None = "utf-8", _conn: Any = None
    ) -> list[Any]:
        return [await self._get(key, encoding) for key in keys]

    async def _set(
        self, key: str, value: Any, ttl: float | None = None, _cas_token: Any = None, _conn: Any = None
    ) -> bool | int:
        if _cas_token is not None and not self._holds(key, _cas_token):
            return 0
        self._table.set(key, _value(value), ttl=ttl or 0)
        return True

    async def _multi_set(
        self, pairs: Iterable[tuple[str, Any]], ttl: float | None = None, _conn: Any = None
    ) -> bool:
        for key, value in pairs:
            await self._set(key, value, ttl)
        return True

    async def _add(self, key: str, value: Any, ttl: float | None = None, _conn: Any = None) -> bool:
        if key in self._table:
            raise ValueError(f"Key {key} already exists, use .set to update the value")
        return bool(await self._set(key, value, ttl))

    async def _exists(self, key: str, _conn: Any = None) -> bool:
        return key in self._table

    async def _increment(self, key: str, delta: int, _conn: Any = None) -> int:
        try:
            return self._table.incr(key, delta)
        except ValueError:
            raise TypeError("Value is not an integer") from None

    async def _expire(self, key: str, ttl: float, _conn: Any = None) -> bool:
        return self._table.expire(key, ttl or 0)

    async def _delete(self, key: str, _conn: Any = None) -> int:
        return int(self._table.delete(key))

    async def _clear(self, namespace: str | None = None, _conn: Any = None) -> bool:
        """Without a namespace, the whole table, on all nodes."""
        if namespace:
            self._table.delete_matching("prefix", namespace)
        else:
            self._table.clear()
        return True

    async def _raw(
        self, command: str, *args: Any, encoding: str | None = None, _conn: Any = None, **kwargs: Any
    ) -> Any:
        """A method of the table."""
        return getattr(self._table, command)(*args, **kwargs)

    async def _redlock_release(self, key: str, value: Any) -> int:
        return int(self._holds(key, value) and self._table.delete(key))

    def _holds(self, key: str, value: Any) -> bool:
        held = self._table.get(key)
        wanted = _value(value)
        text = wanted.decode("utf-8", "surrogateescape") if isinstance(wanted, bytes) else str(wanted)
        return held is not None and str(held) == text


def _value(value: Any) -> Value | bytes:
    """What a serializer made, as a table takes it."""
    return value if isinstance(value, str | bytes | int) and not isinstance(value, bool) else str(value)
