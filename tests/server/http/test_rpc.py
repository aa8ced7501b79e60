"""JSON-RPC as a protocol: parameters, batches, notifications, ids, and no input that breaks it."""

from __future__ import annotations

import json

import pytest

from dmqcache.server.http.rpc import MAX_BATCH
from tests.server.http.calling import call, send
from tests.server.served import ServedNode


def test_parameters_by_name_in_any_order_or_by_kamailios_order() -> None:
    node = ServedNode()
    request = '{"jsonrpc":"2.0","method":"htable.sets","params":%s,"id":"s"}'
    send(node, request % '{"value":"v","key":"k","htable":"users"}')
    assert node.tables["users"].get("k") == "v"
    status, found = send(node, request % '{"a":"users","b":"k2","c":"v2"}')
    assert (status, found["id"]) == (200, "s")
    assert node.tables["users"].get("k2") == "v2"


def test_too_many_parameters_are_ignored() -> None:
    node = ServedNode()
    call(node, "htable.sets", "users", "a", "v", "more")
    assert node.tables["users"].get("a") == "v"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"garbage",
        b'{"jsonrpc":"2.0","method":"core.version","id":1',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"jsonrpc":"2.0","method":"htable.seti","params":["users","n",' + b"9" * 5000 + b'],"id":1}',
        b'{"jsonrpc":"2.0","method":"core.version","id":NaN}',
        b"\xff\xfe\x00",
    ],
)
def test_what_is_no_json(body: bytes) -> None:
    status, found = send(ServedNode(), body)
    assert (status, found["error"]["code"], found["id"]) == (400, -32700, None)


@pytest.mark.parametrize(
    "body",
    [
        b"1",
        b"null",
        b'"x"',
        b"[]",
        b"{}",
        b'{"jsonrpc":"1.0","method":"core.version","id":1}',
        b'{"jsonrpc":"2.0","id":1}',
        b'{"jsonrpc":"2.0","method":5,"id":1}',
    ],
)
def test_what_is_no_request(body: bytes) -> None:
    status, found = send(ServedNode(), body)
    assert (status, found["error"]["code"]) == (400, -32600)


def test_a_batch_that_is_too_long_is_told_how_long_one_may_be() -> None:
    status, found = send(ServedNode(), b"[" + b",".join([b"1"] * (MAX_BATCH + 1)) + b"]")
    assert (status, found["error"]["code"]) == (400, -32600)
    assert found["error"]["message"] == "Invalid Request: a batch has at most 1000 requests; send several"
    assert len(send(ServedNode(), b"[" + b",".join([b"1"] * MAX_BATCH) + b"]")[1]) == MAX_BATCH


def test_parameters_that_are_neither_list_nor_object() -> None:
    _, found = send(ServedNode(), b'{"jsonrpc":"2.0","method":"core.version","params":"x","id":1}')
    assert found["error"]["code"] == -32602


@pytest.mark.parametrize("id_", [b'{"a":1}', b"true", b"1e999", b"-1e999"])
def test_an_id_that_is_none_is_null(id_: bytes) -> None:
    body = b'{"jsonrpc":"2.0","method":"core.version","id":%b}' % id_
    assert send(ServedNode(), body)[1]["id"] is None
    assert send(ServedNode(), b"[%b]" % body)[1][0]["id"] is None


def test_a_batch_is_answered_in_order_without_its_notifications() -> None:
    node = ServedNode()
    batch = [
        {"jsonrpc": "2.0", "method": "htable.sets", "params": ["users", "a", "v"], "id": 1},
        {"jsonrpc": "2.0", "method": "htable.sets", "params": ["users", "b", "v"]},
        {"jsonrpc": "2.0", "method": "htable.dump", "params": ["users"], "id": 2},
        {"jsonrpc": "2.0", "method": "no.such", "id": 3},
        5,
    ]
    status, found = send(node, json.dumps(batch))
    assert status == 200
    assert [each["id"] for each in found] == [1, 2, 3, None]
    assert [cell["name"] for cell in found[1]["result"][0]["slot"]] == ["a", "b"]
    assert [each["error"]["code"] for each in found[2:]] == [-32601, -32600]


def test_a_batch_of_notifications_is_run_and_not_answered() -> None:
    node = ServedNode()
    batch = [{"jsonrpc": "2.0", "method": "htable.sets", "params": ["users", "b", "v"]}]
    assert send(node, json.dumps(batch)) == (204, None)
    assert node.tables["users"].get("b") == "v"


def test_a_request_without_an_id_is_answered_without_one() -> None:
    """As Kamailio 5.6.3 does: its operators leave the id out."""
    status, found = send(ServedNode(), '{"jsonrpc":"2.0","method":"core.version"}')
    assert (status, found) == (200, {"jsonrpc": "2.0", "result": "dmqcache 0.1.0"})
    status, found = send(ServedNode(), '{"jsonrpc":"2.0","method":"htable.get","params":["users","nope"]}')
    assert status == 500 and "id" not in found
