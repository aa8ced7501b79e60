"""core. and stats.: what kamcli and scripts ask of a Kamailio; beside one: test_rpc_beside_kamailio."""

from __future__ import annotations

import re

from dmqcache.server.http.rpc_core import MAX_NAMES, statistics
from tests.server.http.calling import call, fail
from tests.server.served import ServedNode


def test_times_are_those_of_the_c_library() -> None:
    found = call(ServedNode(), "core.uptime")
    assert list(found) == ["now", "up_since", "uptime"]
    for name in ("now", "up_since"):
        assert re.fullmatch(r"[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}", found[name])
    assert found["uptime"] in (0, 1)


def test_what_it_is() -> None:
    node = ServedNode()
    assert call(node, "core.info")["version"] == call(node, "core.version") == "dmqcache 0.1.0"
    assert call(node, "core.echo", "a", 5) == ["a", "5"] and call(node, "core.echo") == []


def test_statistics_by_group_by_name_and_all() -> None:
    node = ServedNode()
    messages = node.bus.counters.messages
    messages["htable", "in", "request"] = 3
    messages["dmqcache", "in", "request"] = 4
    messages["htable", "out", "request"] = 99
    messages["htable", "in", "200"] = 5
    messages["htable", "in", "503"] = 1
    node.tables["users"].set("a", "x")
    node.memory.limit = 5000
    assert call(node, "stats.get_statistics", "rcv_requests") == ["core:rcv_requests = 7"]
    assert call(node, "stats.fetch", "core:") == {
        "core.rcv_replies": "6",
        "core.rcv_replies_1xx": "0",
        "core.rcv_replies_2xx": "5",
        "core.rcv_replies_3xx": "0",
        "core.rcv_replies_4xx": "0",
        "core.rcv_replies_5xx": "1",
        "core.rcv_replies_6xx": "0",
        "core.rcv_requests": "7",
    }
    assert call(node, "stats.fetchn", "cells", "memory_limit") == {
        "dmqcache.cells": 1,
        "dmqcache.memory_limit": 5000,
    }
    everything = call(node, "stats.get_statistics", "all")
    assert everything == [f"{g}:{n} = {v}" for g, ns in statistics(node).items() for n, v in ns.items()]
    assert everything == sorted(everything)


def test_what_there_is_none_of_and_a_call_without_a_name() -> None:
    node = ServedNode()
    assert call(node, "stats.get_statistics", "nope") == call(node, "stats.get_statistics", "nope:") == []
    assert call(node, "stats.fetch", "nope") == {}
    for method in ("stats.get_statistics", "stats.fetch", "stats.fetchn"):
        assert fail(node, method) == (400, 400, "Please provide which stats to retrieve")
    assert len(call(node, "core.echo", *("x" * (MAX_NAMES + 5)))) == MAX_NAMES
