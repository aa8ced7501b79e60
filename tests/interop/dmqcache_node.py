"""A dmqcache process with the same words as a Kamailio of the tests: set_str, get, delete, dump, ...

Everything goes through the Redis protocol with redis-py, as an operator's client would. Starting and
stopping is process.py's. Strings are `str` with arbitrary bytes by surrogateescape, values `str | int`.
"""

import contextlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

import redis

from tests.interop.daemon import wait_until
from tests.interop.kamailio import Value, to_bytes, to_text
from tests.interop.kamailio_cfg import table_names
from tests.interop.process import USERS, DmqcacheProcess

SCAN_STEP = 5000
PIPELINE_STEP = 1000


class DmqcacheNode(DmqcacheProcess):
    """A process and one Redis connection for each of its tables."""

    def __init__(
        self, host: str, port: int = 5060, *, tables: Sequence[str] = (USERS,), **options: Any
    ) -> None:
        super().__init__(host, port, tables=tables, **options)
        self.tables = table_names(tables)
        self._clients: dict[str, redis.Redis] = {}

    def call(self, table: str, *words: object) -> Any:
        """A Redis command on a table; OSError while the node is away, so that it can be waited for."""
        words = tuple(to_bytes(word) if isinstance(word, str) else word for word in words)
        client = self._clients.get(table)
        if client is None:
            # Chosen by number: redis-py repeats it when it connects again.
            client = redis.Redis(
                host=self.host, port=self.client_port, db=self.tables.index(table), socket_timeout=30
            )
            self._clients[table] = client
        try:
            return client.execute_command(*words)  # type: ignore[no-untyped-call]
        except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError) as error:
            raise OSError(f"{type(error).__name__}: {error}") from error

    def close(self) -> None:
        """Close the connections, kill the process, remove its directory."""
        for client in self._clients.values():
            client.close()
        super().close()

    # ---- writing ----

    def set_str(self, table: str, key: str, value: str, ttl: int | None = None) -> None:
        """SET, with EX for a time to live in seconds."""
        self.call(table, "SET", key, value, *([] if ttl is None else ["EX", ttl]))

    def set_int(self, table: str, key: str, value: int) -> None:
        """SET ... INT: stored as an integer."""
        self.call(table, "SET", key, value, "INT")

    def set(self, table: str, key: str, value: Value) -> None:
        if isinstance(value, int):
            self.set_int(table, key, value)
        else:
            self.set_str(table, key, value)

    def set_many(self, table: str, cells: Iterable[tuple[str, str]], step: int = PIPELINE_STEP) -> None:
        """Pipelined SETs of strings, `step` at a time."""
        pairs = [(to_bytes(key), to_bytes(value)) for key, value in cells]
        with redis.Redis(host=self.host, port=self.client_port, db=self.tables.index(table)) as client:
            for first in range(0, len(pairs), step):
                batch = client.pipeline(transaction=False)
                for key, value in pairs[first : first + step]:
                    batch.set(key, value)
                batch.execute()

    def expire(self, table: str, key: str, ttl: int) -> None:
        self.call(table, "EXPIRE", key, ttl)

    def delete(self, table: str, key: str) -> None:
        self.call(table, "DEL", key)

    def incr(self, table: str, key: str) -> int:
        return int(self.call(table, "INCR", key))

    def decr(self, table: str, key: str) -> int:
        return int(self.call(table, "DECR", key))

    def remove_name_regex(self, table: str, pattern: str) -> None:
        self.call(table, "DMQ.REMOVE", "regex", "name", pattern)

    def remove_name_prefix(self, table: str, prefix: str) -> None:
        self.call(table, "DMQ.REMOVE", "prefix", "name", prefix)

    def remove_value_regex(self, table: str, pattern: str) -> None:
        self.call(table, "DMQ.REMOVE", "regex", "value", pattern)

    def remove_value_prefix(self, table: str, prefix: str) -> None:
        self.call(table, "DMQ.REMOVE", "prefix", "value", prefix)

    # ---- with --peer usrloc ----

    def contacts(self, aor: str = "") -> dict[str, dict[str, Any]]:
        """The contacts that it knows, by address of record and URI."""
        with redis.Redis(host=self.host, port=self.client_port) as client:
            rows = client.execute_command("DMQ.CONTACTS", *filter(None, [aor]))
        return {f"{row['aor']} {row['contact']}": row for row in map(json.loads, rows)}

    # ---- reading ----

    def get(self, table: str, key: str) -> Value | None:
        found = self.call(table, "DMQ.CELL", key)
        return None if found is None else _value(found[0])

    def ttl(self, table: str, key: str) -> int | None:
        """Seconds left, or None if the key is not there or never expires."""
        left = int(self.call(table, "TTL", key))
        return None if left < 0 else left

    def dump(self, table: str) -> dict[str, Value]:
        """The whole table, typed."""
        cells: dict[str, Value] = {}
        cursor = b"0"
        while True:
            cursor, flat = self.call(table, "DMQ.SCAN", cursor, "COUNT", SCAN_STEP)
            cells.update(
                (to_text(key), _value(value)) for key, value in zip(flat[::3], flat[1::3], strict=True)
            )
            if cursor == b"0":
                return cells

    def count(self, table: str) -> int:
        return int(self.call(table, "DBSIZE"))

    def missing(self, count: int, table: str = "users", prefix: str = "k") -> int:
        """How many of the keys prefix0 .. prefix(count-1) are not there."""
        there = self.dump(table)
        return sum(f"{prefix}{number}" not in there for number in range(count))

    def wait_count(self, table: str, count: int, timeout: float) -> None:
        """Wait until the table holds exactly `count` cells."""
        wait_until(
            lambda: self.count(table) == count,
            timeout,
            lambda: f"{count} cells in {table} of {self.uri}, not {self._count_or_none(table)}",
            poll=0.05,
        )

    def _count_or_none(self, table: str) -> int | None:
        with contextlib.suppress(OSError):
            return self.count(table)
        return None


def _value(value: bytes | int) -> Value:
    return value if isinstance(value, int) else to_text(value)
