"""JSON-RPC as a client says it: one call, its result or its error."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from dmqcache.server.http.rpc import answer
from dmqcache.server.http.rpc_methods import methods_of
from tests.server.served import ServedNode


def send(node: ServedNode, body: bytes | str) -> tuple[int, Any]:
    """HTTP status and the answer's JSON (None: no body)."""

    async def ask() -> tuple[int, Any]:
        found = await answer(methods_of(node, "0.1.0"), body.encode() if isinstance(body, str) else body)
        if found.pieces is None:
            return found.status, None
        return found.status, json.loads("".join([piece async for piece in found.pieces]))

    return asyncio.run(ask())


def call(node: ServedNode, method: str, *params: object) -> Any:
    """The result."""
    status, found = send(node, json.dumps({"jsonrpc": "2.0", "method": method, "params": params, "id": 1}))
    assert (status, found["id"], found["jsonrpc"]) == (200, 1, "2.0"), found
    return found["result"]


def fail(node: ServedNode, method: str, *params: object) -> tuple[int, int, str]:
    """HTTP status, code and message."""
    status, found = send(node, json.dumps({"jsonrpc": "2.0", "method": method, "params": params, "id": 1}))
    return status, found["error"]["code"], found["error"]["message"]
