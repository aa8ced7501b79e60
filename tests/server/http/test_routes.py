"""The HTTP server: over a real socket where sockets matter, through starlette's test client elsewhere."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from dmqcache.bus.node import Trouble
from dmqcache.server.http import routes as http
from dmqcache.server.http.routes import application
from tests.server.served import Progress, Row, ServedNode, busy_node


class Client:
    """Asks the application without a socket."""

    def __init__(self, node: ServedNode) -> None:
        self.application = application(node, "0.1.0")

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.application)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as browser:
                return await browser.request(method, path, **options)

        return asyncio.run(ask())

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)


def client(node: ServedNode) -> Client:
    return Client(node)


def test_metrics() -> None:
    answer = client(busy_node()).get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    assert 'dmqcache_table_cells{table="users"} 2.0' in answer.text


def test_metrics_in_the_format_that_prometheus_asks_for() -> None:
    answer = client(busy_node()).get(
        "/metrics", headers={"accept": "application/openmetrics-text;version=1.0.0"}
    )
    assert answer.headers["content-type"].startswith("application/openmetrics-text")


def test_health() -> None:
    answer = client(ServedNode()).get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"healthy": True})


def test_ready_after_the_initial_sync_only() -> None:
    node = ServedNode()
    node.ready, node.progress = False, Progress("receiving", 1200, "sip:127.0.0.12:5060")
    answer = client(node).get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {
        "ready": False,
        "sync": "receiving",
        "cells": 1200,
        "donor": "sip:127.0.0.12:5060",
        "reason": "the initial sync is not done: receiving",
    }
    node.rows.append(Row("sip:127.0.0.12:5060", "pending", troubles={Trouble.TLS_FAILS: "expired"}))
    reason = client(node).get("/readyz").json()["reason"]
    assert reason == "the initial sync is not done: receiving; sip:127.0.0.12:5060: expired"
    node.ready, node.progress = True, Progress("done", 5000)
    answer = client(node).get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"ready": True, "sync": "done", "cells": 5000})


@pytest.mark.parametrize("path", ["/rpc", "/RPC"])
def test_rpc_as_kamailios_scripts_send_it(path: str) -> None:
    node = busy_node()
    body = '{"jsonrpc":"2.0","method":"htable.get","params":["users","alice"],"id":1}'
    # curl -d says so, whatever the body is.
    headers = {"content-type": "application/x-www-form-urlencoded"}
    answer = client(node).post(path, content=body, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["result"]["item"]["value"] == "x"


def test_rpc_errors_are_http_errors_too() -> None:
    body = '{"jsonrpc":"2.0","method":"htable.delete","params":["users","nope"],"id":1}'
    assert client(ServedNode()).post("/rpc", content=body).status_code == 404


def test_a_request_without_an_id_is_run_and_answered() -> None:
    node = ServedNode()
    body = '{"jsonrpc":"2.0","method":"htable.sets","params":["users","k","v"]}'
    answer = client(node).post("/rpc", content=body)
    assert (answer.status_code, "id" in answer.json()) == (200, False)
    assert node.tables["users"].get("k") == "v"


def test_a_web_page_cannot_write() -> None:
    node = ServedNode()
    body = '{"jsonrpc":"2.0","method":"htable.sets","params":["users","k","v"],"id":1}'
    # DNS rebinding makes Origin and Host equal, so that being equal excuses nothing.
    for origin in ("https://evil.example", "http://127.0.0.1", "null"):
        assert client(node).post("/rpc", content=body, headers={"origin": origin}).status_code == 403
    assert "k" not in node.tables["users"]


def test_rpc_by_get_has_a_body_as_kamailio_takes_it_or_is_no_request() -> None:
    body = '{"jsonrpc":"2.0","method":"core.version","id":1}'
    answer = client(ServedNode()).request("GET", "/RPC", content=body)
    assert (answer.status_code, answer.json()["result"]) == (200, "dmqcache 0.1.0")
    assert client(ServedNode()).get("/rpc?method=core.version").status_code == 400


def test_a_body_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_RPC_BODY", 1000)
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 100
            yield b"x" * 100

    answer = client(ServedNode()).post("/rpc", content=endless())
    assert answer.status_code == 413
    assert sent <= 1200


def test_a_large_table_is_dumped_whole() -> None:
    node = ServedNode()
    expected = {f"key{i:05}": f"\udcff{i}" for i in range(2500)}
    for key, value in expected.items():
        node.tables["users"].set(key, value)
    body = '{"jsonrpc":"2.0","method":"htable.dump","params":["users"],"id":1}'
    answer = client(node).post("/rpc", content=body)
    cells = [cell for entry in json.loads(answer.content)["result"] for cell in entry["slot"]]
    assert {cell["name"]: cell["value"] for cell in cells} == expected
    assert [cell["name"] for cell in cells] == sorted(expected)


def test_the_page_needs_nothing_from_elsewhere() -> None:
    answer = client(busy_node()).get("/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "http://" not in answer.text
    assert "https://" not in answer.text


# -- over a socket ------------------------------------------------------------------------------------------


def test_rows_of_a_node_list_are_shown() -> None:
    node = ServedNode()
    node.rows.append(Row("sip:127.0.0.13:5060", status="timeout"))
    text = client(node).get("/").text
    assert "sip:127.0.0.13:5060" in text
    assert '<span class="pill warn">timeout</span>' in text
