"""Who is answered over HTTP, and what every answer says."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import httpx
import pytest

from dmqcache.server.http.http_guard import Guard, HttpDoors, Protect, host_name, shown_tokens
from dmqcache.server.http.routes import application
from tests.server.served import ServedNode, busy_node

TOKEN = "s3cret"
SHOWN = {"authorization": f"Bearer {TOKEN}"}
READ = {"jsonrpc": "2.0", "method": "htable.get", "params": ["users", "alice"], "id": 1}
WRITE = {"jsonrpc": "2.0", "method": "htable.sets", "params": ["users", "k", "v"], "id": 1}


def guard(protect: Protect = "changes", token: str | None = TOKEN, **more: Any) -> Guard:
    made = Guard(HttpDoors(lambda: token, protect, **more))
    made.reload()
    return made


def ask(
    guard: Guard,
    method: str,
    path: str,
    node: ServedNode | None = None,
    peer: str = "10.0.0.9",
    **options: Any,
) -> httpx.Response:
    async def run() -> httpx.Response:
        app = application(node or busy_node(), "0.1.0", guard=guard)
        transport = httpx.ASGITransport(app=app, client=(peer, 5000))
        base = options.pop("base", "http://10.0.0.11:9180")
        async with httpx.AsyncClient(transport=transport, base_url=base) as browser:
            return await browser.request(method, path, **options)

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("protect", "statuses"),
    [
        # the page, metrics, health, readiness, reading by RPC, changing by RPC
        ("changes", [200, 200, 200, 200, 200, 401]),
        ("rpc", [200, 200, 200, 200, 401, 401]),
        ("all", [401, 401, 200, 200, 401, 401]),
    ],
)
def test_what_needs_the_token(protect: Protect, statuses: list[int]) -> None:
    node = busy_node()
    requests: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", "/", {}),
        ("GET", "/metrics", {}),
        ("GET", "/healthz", {}),
        ("GET", "/readyz", {}),
        ("POST", "/rpc", {"json": READ}),
        ("POST", "/RPC", {"json": WRITE}),
    ]
    for wrong in ({}, {"authorization": "Bearer wrong"}, {"authorization": "nonsense"}):
        got = [ask(guard(protect), *one[:2], node, headers=wrong, **one[2]) for one in requests]
        assert [one.status_code for one in got] == statuses
        assert "k" not in node.tables["users"]
    basic = base64.b64encode(f"anybody:{TOKEN}".encode()).decode()
    for right in (SHOWN, {"authorization": f"basic {basic}"}):
        got = [ask(guard(protect), *one[:2], node, headers=right, **one[2]) for one in requests]
        assert [one.status_code for one in got] == [200] * 6
    assert node.tables["users"].get("k") == "v"


def test_a_refused_change_says_why() -> None:
    answer = ask(guard(), "POST", "/rpc", json=WRITE)
    assert answer.json()["error"] == {
        "code": 401,
        "message": "this method changes something: it needs the token",
    }
    batch = ask(guard(), "POST", "/rpc", json=[READ, WRITE]).json()
    assert "result" in batch[0] and batch[1]["error"]["code"] == 401
    assert ask(guard("rpc"), "POST", "/rpc", json=READ).headers["www-authenticate"].startswith("Bearer")
    assert ask(guard("all"), "GET", "/").headers["www-authenticate"].startswith("Basic")


def test_every_method_that_changes_something_is_one() -> None:
    names = ask(guard(), "POST", "/rpc", json=READ | {"method": "system.listMethods"}).json()["result"]
    refused = set()
    for name in names:
        call = {"jsonrpc": "2.0", "method": name, "params": ["users", "alice", 1, 5], "id": 1}
        if ask(guard(), "POST", "/rpc", json=call).status_code == 401:
            refused.add(name)
    reading = {"htable.get", "htable.dump", "htable.stats", "htable.listTables", "dmq.list_nodes"}
    reading |= {"core.echo", "core.info", "core.uptime", "core.version", "system.listMethods"}
    # Of what is only followed here, and of figures, nothing can be changed.
    reading |= {name for name in names if name.partition(".")[0] in ("ul", "dlg", "stats")}
    assert refused == set(names) - reading


def test_without_a_token_other_machines_may_only_read() -> None:
    node = busy_node()
    answer = ask(guard(token=None), "POST", "/rpc", node, json=WRITE)
    assert answer.status_code == 401 and "--http-token-file" in answer.json()["error"]["message"]
    assert ask(guard(token=None), "POST", "/rpc", json=READ).status_code == 200
    for peer in ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"):
        assert ask(guard(token=None), "POST", "/rpc", node, peer, json=WRITE).status_code == 200
    assert ask(guard(token=None, open=True), "POST", "/rpc", node, json=WRITE).status_code == 200


@pytest.mark.parametrize(
    ("base", "answered"),
    [
        ("http://10.0.0.11:9180", True),
        ("http://[fd00::11]:9180", True),
        ("http://localhost:9180", True),
        ("http://Node1.Example.ORG.:9180", True),
        ("http://evil.example:9180", False),
        ("http://10.0.0.11.evil.example", False),
        ("http://node1.example.org.evil.example", False),
    ],
)
def test_a_web_pages_own_name_is_not_answered(base: str, answered: bool) -> None:
    named = guard(names=frozenset({"node1.example.org"}))
    for path in ("/", "/metrics", "/rpc"):
        answer = ask(named, "POST" if path == "/rpc" else "GET", path, base=base, json=READ)
        assert answer.status_code == (200 if answered else 421)
    assert ask(named, "GET", "/readyz", base=base).status_code == 200, "probes may call it anything"


def test_a_name_is_told_back_harmlessly() -> None:
    answer = ask(guard(), "GET", "/", headers={"host": "x" * 1000})
    assert len(answer.text) < 200 and answer.headers["content-type"].startswith("text/plain")


def test_every_answer_is_for_who_asked() -> None:
    for path in ("/", "/metrics", "/healthz", "/nothing"):
        headers = ask(guard(), "GET", path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["x-frame-options"] == "DENY"
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "no-referrer"
    assert "default-src 'none'" in ask(guard(), "GET", "/").headers["content-security-policy"]
    assert "x-frame-options" in ask(guard(), "GET", "/", base="http://evil.example").headers


def test_the_token_is_read_again() -> None:
    tokens = ["one", "two"]
    made = Guard(HttpDoors(lambda: tokens[0], "rpc"))
    made.reload()
    assert ask(made, "POST", "/rpc", json=READ, headers={"authorization": "Bearer one"}).status_code == 200
    del tokens[0]
    made.reload()
    assert ask(made, "POST", "/rpc", json=READ, headers={"authorization": "Bearer one"}).status_code == 401
    assert ask(made, "POST", "/rpc", json=READ, headers={"authorization": "Bearer two"}).status_code == 200


def test_names_and_tokens_in_headers() -> None:
    assert host_name("Node.Example:80") == "node.example"
    assert host_name("[FD00::1]:80") == "fd00::1"
    assert host_name("") == ""
    basic = base64.b64encode(b"me:a:b").decode()
    assert shown_tokens([f"Basic {basic}", "bearer x ", "Digest y", "Basic !"]) == [b"a:b", b"x"]
    assert json.dumps(shown_tokens(["Bearer"]) == [b""]) == "true"
