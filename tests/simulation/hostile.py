"""What a member may tell others on the store's channel that no dmqcache node tells: to be refused, whole
or row by row. None of them may change a judged key, end in an exception, or hold up anything else.

A few carry a sound row as well, of a key that is not judged: it counts whatever stands beside it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from dmqcache.store.table.cell import MAX_TTL_S
from dmqcache.store.table.checks import MAX_KEY_LENGTH
from dmqcache.store.table.clock import MAX_STAMP, version_at
from dmqcache.store.table.counts import MAX_NAME, MAX_SHARES_HEARD

#: A number that no want of a node of ours has.
NO_WANT = 1 << 40
#: What nobody wrote.
LIE = "a lie"


def _rows(*rows: object, table: str = "plain", **more: object) -> dict[str, object]:
    return {"rows": {table: list(rows)}, **more}


def _beside(bad: list[object], now: int) -> dict[str, object]:
    return _rows(["w0", "beside a lie", now], bad, ["w1", "after a lie", now])


#: Name -> what is told of a key (a letter's place in ``khcr`` says what it is) at a version of now.
LIES: Mapping[str, Callable[[str, int], Any]] = {
    "from the future": lambda key, now: _beside([key, LIE, MAX_STAMP - 1], now),
    "a delete from the future": lambda key, now: _beside([key, None, MAX_STAMP], now),
    "a share from the future": lambda key, now: _rows([key, 7, now, 0, 0, 0, {"x": [MAX_STAMP, 9]}]),
    "more than a century to live": lambda key, now: _beside([key, LIE, now, 1000 * MAX_TTL_S + 1, 5], now),
    "more left than given": lambda key, now: _beside([key, LIE, now, 10, 1 << 40], now),
    "a line above its share": lambda key, now: _rows([key, 7, now, 0, 0, 0, {"x": [now, 9, now + 1]}]),
    "a name too long": lambda key, now: _rows([key, 7, now, 0, 0, 0, {"x" * (MAX_NAME + 1): [now, 9]}]),
    "too many shares": lambda key, now: _rows(
        [key, 7, now, 0, 0, 0, {f"x{number}": [now, 1] for number in range(MAX_SHARES_HEARD + 1)}]
    ),
    "a key too long": lambda key, now: _beside([key + "x" * MAX_KEY_LENGTH, LIE, now], now),
    "no key": lambda key, now: _rows([key, LIE, now], ["", LIE, now]),
    "a counter with a text": lambda key, now: _rows(
        [key, LIE, now], [key, LIE, now, 0, 0, 0, {"x": [now, 1]}]
    ),
    "a value that is none": lambda key, now: _rows([key, LIE, now], [key, {"a": [1.5, True]}, now]),
    "an integer too large": lambda key, now: _rows([key, LIE, now], [key, 1 << 64, now]),
    "a version below none": lambda key, now: _rows([key, LIE, now], [key, LIE, -1]),
    "characters that are no bytes": lambda key, now: _rows([key, LIE, now], [key, "\u2603", now, 0, 0, 8]),
    "a table that is not there": lambda key, now: _rows([key, LIE, now], table="nowhere"),
    "flushes from the future": lambda key, now: {"floors": {"plain": MAX_STAMP, "flushed": MAX_STAMP}},
    "parts that are not there": lambda key, now: {
        "want": {"id": NO_WANT, "table": "plain", "parts": [[2, 1 << 20, [1]]]}
    },
    "too many parts": lambda key, now: {"ask": {"plain": [[0, 0]] * 100}},
    "a want of what is not there": lambda key, now: {
        "want": {"id": NO_WANT, "table": "nowhere", "parts": [], "tombstones": True},
        "ask": {"nowhere": [[0, 0]], "plain": [[0, 0], [1, 15]]},
    },
    "an end that nobody waits for": lambda key, now: {"done": {"id": NO_WANT, "lack": [0, -1, 1 << 63]}},
    "a repair of nothing": lambda key, now: {"rows": {"plain": []}, "repair": True},
}
#: The same, byte by byte.
RAW: Mapping[str, bytes] = {
    "nothing": b"",
    "no JSON": b'{"rows":{"plain":[["k0","a lie",',
    "no UTF-8": b'{"rows":{"plain":[["k0","\xff\xfe",1]]}}',
    "too deep": b"[" * 50_000,
}
NAMES = (*LIES, *RAW)


def body_of(name: str, key: str, true_ms: int) -> bytes:
    """The body of a lie about a key, told at ``true_ms`` (Unix ms)."""
    if name in RAW:
        return RAW[name]
    return json.dumps(LIES[name](key, version_at(true_ms))).encode()
