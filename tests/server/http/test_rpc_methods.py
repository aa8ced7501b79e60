"""The methods of JSON-RPC: results and errors as a Kamailio 5.6.3 gave them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from dmqcache.bus.node import NodeStatus
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.store.table.listing import SORTED_AT_ONCE
from dmqcache.store.table.table import Table
from tests.server.http.calling import call, fail, send
from tests.server.served import Row, ServedNode

# -- as Kamailio --------------------------------------------------------------------------------------------


def test_set_and_get() -> None:
    node = ServedNode()
    assert call(node, "htable.sets", "users", "alice", 'x "q"') == "Ok. Key set to new value."
    assert call(node, "htable.seti", "users", "n", 5) == "Ok. Key set to new value."
    item = call(node, "htable.get", "users", "alice")["item"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", item.pop("expire"))
    assert item == {"name": "alice", "value": 'x "q"', "flags": 2}
    item = call(node, "htable.get", "users", "n")["item"]
    assert (item["value"], item["flags"]) == (5, 0)
    call(node, "htable.sets", "plain", "y", "v")
    assert call(node, "htable.get", "plain", "y")["item"]["expire"] == "NEVER"


def test_a_text_may_come_without_quotes_and_a_number_with_them() -> None:
    node = ServedNode()
    call(node, "htable.sets", "users", "text", 7)
    call(node, "htable.seti", "users", "number", "-7")
    assert node.tables["users"].get("text") == "7"
    assert node.tables["users"].get("number") == -7


def test_times() -> None:
    node = ServedNode()
    assert call(node, "htable.setxs", "plain", "b", "v", 60) == "Ok. Key set to new value."
    assert call(node, "htable.setxi", "plain", "c", 1, "60") == "Ok. Key set to new value."
    assert call(node, "htable.setex", "plain", "b", 600) == "Ok"
    plain = node.tables["plain"]
    assert 590 < (plain.ttl("b") or 0) <= 600
    assert 50 < (plain.ttl("c") or 0) <= 60


def test_dump() -> None:
    node = ServedNode()
    assert call(node, "htable.dump", "users") == []
    call(node, "htable.sets", "users", "é", "ÿ")
    call(node, "htable.seti", "users", "n", 5)
    cells = [{"name": "n", "value": 5, "type": "int"}, {"name": "é", "value": "ÿ", "type": "str"}]
    assert call(node, "htable.dump", "users") == [{"entry": 0, "size": 2, "slot": cells}]
    assert node.tables["users"].counters.hits == 0


def test_a_dump_of_a_large_table_sorts_it_some_keys_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    node = ServedNode()
    for number in range(10 * SORTED_AT_ONCE):
        node.tables["users"].set(f"k{number:05}", "x")
    scan, waited = Table.scan, list[int]()

    def noting(table: Table, *args: Any, **kwargs: Any) -> list[str]:
        waited.append(len(table.order._born))
        return scan(table, *args, **kwargs)

    monkeypatch.setattr(Table, "scan", noting)
    entries = call(node, "htable.dump", "users")
    assert [cell["name"] for entry in entries for cell in entry["slot"]] == sorted(node.tables["users"].cells)
    assert max(waited) <= SORTED_AT_ONCE


def test_delete_and_flush() -> None:
    node = ServedNode()
    call(node, "htable.sets", "users", "a", "x")
    assert call(node, "htable.delete", "users", "a") == "Ok. Key deleted."
    assert fail(node, "htable.delete", "users", "a") == (404, 404, "Key not found in htable.")
    call(node, "htable.sets", "users", "b", "x")
    assert call(node, "htable.flush", "users") == "Ok. Htable flushed."
    assert len(node.tables["users"]) == 0


def test_lists_of_tables() -> None:
    node = ServedNode("users=>size=4;autoexpire=3600", "plain=>dmqreplicate=0")
    call(node, "htable.sets", "users", "a", "x")
    assert call(node, "htable.stats")[0] == {"name": "users", "slots": 1, "all": 1, "min": 1, "max": 1}
    users, plain = call(node, "htable.listTables")
    assert users == {
        "name": "users",
        "dbtable": "",
        "dbmode": 0,
        "expire": 3600,
        "updateexpire": 1,
        "size": 16,
        "dmqreplicate": 1,
    }
    assert (plain["name"], plain["dmqreplicate"]) == ("plain", 0)


@pytest.mark.parametrize(
    ("method", "params", "error"),
    [
        ("htable.get", ["users", "nope"], (500, 500, "Key name doesn't exist in htable.")),
        ("htable.get", ["nosuch", "nope"], (500, 500, "No such htable")),
        ("htable.dump", ["nosuch"], (500, 500, "No such htable")),
        ("htable.flush", ["nosuch"], (500, 500, "No such htable")),
        ("htable.sets", ["users", "a"], (500, 500, "Not enough parameters (htable, key, value)")),
        ("htable.sets", [], (500, 500, "Not enough parameters (htable, key, value)")),
        ("htable.sets", ["users", "a", None], (500, 500, "Not enough parameters (htable, key, value)")),
        ("htable.setex", ["users", "nope", 5], (404, 404, "Key not found in htable.")),
        ("htable.seti", ["users", "n", "abc"], (400, -32602, "Invalid params: value is no integer")),
        ("htable.seti", ["users", "n", "1_0"], (400, -32602, "Invalid params: value is no integer")),
        (
            "htable.seti",
            ["users", "n", 1.5],
            (400, -32602, "Invalid params: value is neither a text nor an integer"),
        ),
        (
            "htable.sets",
            ["users", ["a"], "v"],
            (400, -32602, "Invalid params: key is neither a text nor an integer"),
        ),
        (
            "htable.sets",
            ["users", "a", True],
            (400, -32602, "Invalid params: value is neither a text nor an integer"),
        ),
        (
            "htable.sets",
            ["users", "a", "\ud800"],
            (400, -32602, "Invalid params: value has a lone surrogate"),
        ),
        ("no.such", [], (404, -32601, "Method Not Found")),
        ("dmq.remove", ["sip:127.0.0.99:5060"], (404, 404, "No such node")),
        ("dmq.remove", ["sip:127.0.0.11:5060"], (500, 500, "a node cannot remove itself from its own list")),
        (
            "dmq.set_status",
            ["sip:127.0.0.12:5060", "away"],
            (500, 500, "Invalid status; use one of active, not_active, disabled"),
        ),
    ],
)
def test_errors(method: str, params: list[object], error: tuple[int, int, str]) -> None:
    assert fail(ServedNode(), method, *params) == error


def test_what_a_table_refuses_is_an_error_with_its_text() -> None:
    status, code, message = fail(ServedNode(), "htable.seti", "users", "n", 10**19)
    assert (status, code) == (500, 500)
    assert "64 bits" in message


def test_bytes_that_are_no_text_go_round() -> None:
    node = ServedNode()
    raw = b'{"jsonrpc":"2.0","method":"htable.sets","params":["users","a","\xff\xc3\xa9"],"id":1}'
    assert send(node, raw)[0] == 200
    assert node.tables["users"].get("a") == "\udcffé"
    assert call(node, "htable.get", "users", "a")["item"]["value"] == "\udcffé"
    # The same bytes, each as an escape, are the same value.
    call(node, "htable.sets", "users", "b", "\udcff\udcc3\udca9")
    assert node.tables["users"].get("b") == "\udcffé"


# -- the bus ------------------------------------------------------------------------------------------------


def test_list_nodes() -> None:
    node = ServedNode()
    node.rows.append(Row("sip:[::1]:5060;transport=tcp", status="disabled", last_seen_s=None, rtt_ms=None))
    node.rows[1] = Row("sip:127.0.0.12:5060", backlog=3, unanswered=2)
    local, other, third = call(node, "dmq.list_nodes")
    assert [row["fail_count"] for row in (local, other, third)] == [0, 2, 0]
    assert (local["host"], local["port"], local["local"], local["status"]) == (
        "127.0.0.11",
        "5060",
        1,
        "active",
    )
    assert local["last_notification"] == 0
    assert other["resolved_ip"] == "127.0.0.12"
    assert other["last_notification"] > 1_700_000_000
    assert (other["backlog"], other["rtt_ms"], other["in_sync"]) == (3, 0.7, "yes")
    assert (third["host"], third["proto"], third["status"]) == ("[::1]", "tcp", "disabled")


def test_changes_of_the_list() -> None:
    node = ServedNode()
    other = NodeURI.parse("sip:127.0.0.12:5060")
    assert call(node, "dmq.add", "127.0.0.13:5060") == "Ok"
    assert call(node, "dmq.set_status", "sip:127.0.0.12:5060", "disabled") == "Ok"
    assert call(node, "dmq.remove", "sip:127.0.0.12:5060") == "Ok"
    assert node.bus.calls == [
        ("add", NodeURI.parse("sip:127.0.0.13:5060")),
        ("set_status", other, NodeStatus.DISABLED),
        ("remove", other),
    ]
    assert fail(node, "dmq.add", "sip:[::1")[:2] == (500, 500)


def test_what_there_is() -> None:
    node = ServedNode()
    assert call(node, "core.version") == "dmqcache 0.1.0"
    assert {"htable.get", "dmq.list_nodes"} < set(call(node, "system.listMethods"))


def test_a_number_with_a_point_and_nothing_behind_it_is_an_integer() -> None:
    node = ServedNode()
    call(node, "htable.seti", "users", "n", 1.0)
    assert node.tables["users"].get("n") == 1


@pytest.mark.parametrize("method", ["dmq.change_status", "dmq.set_status"])
def test_a_status_is_changed_by_both_names(method: str) -> None:
    node = ServedNode()
    for word in ("active", "not_active", "disabled"):
        assert call(node, method, "sip:127.0.0.12:5060", word) == "Ok"
    assert [status for _, _, status in node.bus.calls] == ["active", "timeout", "disabled"]


def test_an_ipv6_address_is_told_in_brackets() -> None:
    node = ServedNode()
    node.rows.append(Row("sip:[fd00::1]:5060"))
    told = call(node, "dmq.list_nodes")[-1]
    assert (told["host"], told["resolved_ip"]) == ("[fd00::1]", "fd00::1")


@pytest.mark.parametrize("method", ["htable.dmqsync", "htable.dmqresync"])
def test_a_comparison_with_the_others_can_be_asked_for(method: str) -> None:
    node = ServedNode()
    node.tables["users"].set("a", "b")
    assert call(node, method, "users").startswith("Ok")
    assert node.compared == 1 and node.tables["users"].get("a") == "b"
    assert fail(node, method, "nope") == (500, 500, "No such htable")


def test_a_table_is_read_from_its_database_and_stored_in_it() -> None:
    node = ServedNode("users=>dbtable=htable;dbmode=1", "plain", "broken=>dbtable=b")
    assert call(node, "htable.reload", "users") == "Ok. Htable reloaded."
    assert call(node, "htable.store", "users") == "Ok. Htable successfully stored to DB."
    assert node.database.done == [("reload", "users"), ("store", "users")]
    for method in ("htable.reload", "htable.store"):
        assert fail(node, method, "plain") == (500, 500, "No database htable")
        assert fail(node, method, "nosuch") == (500, 500, "No such htable")
        assert fail(node, method, "broken") == (500, 500, "the database is down")
    listed = call(node, "htable.listTables")[0]
    assert (listed["dbtable"], listed["dbmode"]) == ("htable", 1)


def test_a_full_node_takes_no_more_and_can_be_emptied() -> None:
    node = ServedNode()
    assert call(node, "htable.sets", "users", "a", "x") == "Ok. Key set to new value."
    node.memory.fill(True)
    for method, value in (("htable.sets", "y"), ("htable.seti", 1)):
        assert "max_memory" in fail(node, method, "users", "a", value)[2]
    assert call(node, "htable.delete", "users", "a") == "Ok. Key deleted."
