"""The HTTP server on a real node: what the other tests' stand-in promises, a node has."""

from __future__ import annotations

import asyncio

import httpx

from dmqcache.cache_node import CacheNode
from dmqcache.metrics.exported import EXPORTS

#: Addresses of this test alone, so that it may run beside others.
HOST, OTHER = "127.0.61.1", "127.0.61.2"


async def _until_ready(browser: httpx.AsyncClient) -> httpx.Response:
    async with asyncio.timeout(20):
        while (answer := await browser.get("/readyz")).status_code != 200:
            assert answer.status_code == 503
            await asyncio.sleep(0.05)
    return answer


def test_two_nodes() -> None:
    async def run() -> None:
        first = CacheNode(server_address=f"sip:{HOST}:5060", http_address=f"{HOST}:9180", tables=["users"])
        second = CacheNode(
            server_address=f"sip:{OTHER}:5060",
            notification_address=[f"sip:{HOST}:5060"],
            http_address=f"{OTHER}:9180",
            tables=["users"],
        )
        async with first, second, httpx.AsyncClient(base_url=f"http://{OTHER}:9180") as browser:
            assert (await _until_ready(browser)).json()["sync"] == "ready"
            call = {"jsonrpc": "2.0", "method": "htable.sets", "params": ["users", "k", "v"], "id": 1}
            assert (await browser.post("/RPC", json=call)).json()["result"] == "Ok. Key set to new value."
            assert await second.wait_replicated(1, timeout=10) == 1
            assert first.table("users").get("k") == "v"

            text = (await browser.get("/metrics")).text
            assert [export.name for export in EXPORTS if f"# TYPE {export.name}" not in text] == []
            assert 'dmqcache_nodes{status="active"} 2.0' in text
            assert f'dmqcache_node_up{{node="sip:{HOST}:5060"}} 1.0' in text
            assert "dmqcache_replication_delay_seconds_count 1.0" in text
            assert f"sip:{HOST}:5060" in (await browser.get("/")).text

            call = {
                "jsonrpc": "2.0",
                "method": "dmq.set_status",
                "params": [f"{HOST}:5060", "disabled"],
                "id": 1,
            }
            assert (await browser.post("/rpc", json=call)).json()["result"] == "Ok"
            call = {"jsonrpc": "2.0", "method": "dmq.remove", "params": [f"{HOST}:5060"], "id": 1}
            assert (await browser.post("/rpc", json=call)).json()["result"] == "Ok"
            call["params"] = ["127.0.61.99:5060"]
            assert (await browser.post("/rpc", json=call)).status_code == 404

    asyncio.run(run())
