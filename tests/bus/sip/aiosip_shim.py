"""aiosip 0.2.0's message parser, made importable: its package uses names that Python no longer has.

``asyncio.coroutine`` went with Python 3.11 and some names of ``collections`` with 3.10. They are lent to the
package while it is imported and taken back afterwards, so that nothing else in the tests can lean on them.
Nothing of aiosip runs but its parser.
"""

from __future__ import annotations

import asyncio
import collections
import collections.abc
import importlib
import sys
import types
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def _lent_names() -> Iterator[None]:
    lent: list[tuple[Any, str]] = []

    def lend(owner: Any, name: str, value: Any) -> None:
        if not hasattr(owner, name):
            setattr(owner, name, value)
            lent.append((owner, name))

    lend(asyncio, "coroutine", lambda function: function)
    lend(asyncio, "async", asyncio.ensure_future)
    for name in ("Mapping", "MutableMapping", "Callable", "Iterable"):
        lend(collections, name, getattr(collections.abc, name))
    # Only its XML bodies need pyquery, and that needs a compiled lxml.
    stub = types.ModuleType("pyquery")
    stub.PyQuery = object  # type: ignore[attr-defined]
    missing = "pyquery" not in sys.modules
    if missing:
        sys.modules["pyquery"] = stub
    try:
        yield
    finally:
        for owner, name in lent:
            delattr(owner, name)
        if missing:
            del sys.modules["pyquery"]


def parse(data: bytes) -> Any:
    """An ``aiosip.Request`` or ``aiosip.Response``; UTF-8 only. Raises ValueError."""
    with _lent_names(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = importlib.import_module("aiosip.message")

    async def inside_a_loop() -> Any:
        # Its requests make a Future, which wants a loop that runs.
        return module.Message.from_raw_message(data.decode())

    return asyncio.run(inside_a_loop())
