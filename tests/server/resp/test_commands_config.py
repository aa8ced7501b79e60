"""CONFIG: what can be read, and the little that can be changed."""

from __future__ import annotations

import logging

import pytest

from dmqcache.disk.keeper import DiskStatus
from dmqcache.store.table.evicting import Policy
from tests.server.fakes import make_session
from tests.server.resp.saying import OK, say


def test_what_is_set_holds_until_the_node_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    session = make_session()
    session.shared.room = session.shared.max_clients = 1000
    assert say(session, "CONFIG", "SET", "maxclients", "50") == OK
    assert say(session, "CONFIG", "GET", "maxclients") == ["maxclients", "50"]
    assert "between 1 and 1000" in say(session, "CONFIG", "SET", "maxclients", "1001")
    assert "can't set immutable config" in say(session, "CONFIG", "SET", "maxclients", "40", "port", "1")
    assert session.shared.max_clients == 50  # all or nothing


def test_how_much_is_logged_can_be_changed() -> None:
    logger, session = logging.getLogger("dmqcache"), make_session()
    before = logger.level
    try:
        assert say(session, "CONFIG", "SET", "loglevel", "debug") == OK
        assert logger.level == logging.DEBUG
        assert "must be one of" in say(session, "CONFIG", "SET", "loglevel", "loud")
    finally:
        logger.setLevel(before)


def test_reading_is_bounded_and_keeps_the_asked_case() -> None:
    session = make_session()
    assert say(session, "CONFIG", "GET", "SAVE", "data*") == ["SAVE", "", "databases", "2"]
    assert "at most 1000" in say(session, "CONFIG", "GET", *["get"] * 1001)


def test_appendonly_says_whether_there_is_a_disk_as_info_does() -> None:
    session = make_session()
    assert say(session, "CONFIG", "GET", "appendonly") == ["appendonly", "no"]
    session.shared.node.disk = DiskStatus("/data", 1.0, lambda: 0.0)  # type: ignore[misc]
    assert say(session, "CONFIG", "GET", "appendonly") == ["appendonly", "yes"]


def test_the_bound_on_memory_is_read_and_set_as_in_redis() -> None:
    session = make_session()
    assert say(session, "CONFIG", "GET", "maxmemory*") == ["maxmemory", "0", "maxmemory-policy", "noeviction"]
    assert say(session, "CONFIG", "SET", "maxmemory", "100mb", "maxmemory-policy", "allkeys-lru") == "OK"
    memory = session.shared.node.memory
    assert (memory.limit, memory.policy) == (100 << 20, Policy.ALLKEYS_LRU)
    wrong = say(session, "CONFIG", "SET", "maxmemory", "a lot")
    assert "argument must be a memory value" in str(wrong)
    wrong = say(session, "CONFIG", "SET", "maxmemory-policy", "allkeys-lfu")
    assert "argument(s) must be one of the following: noeviction, allkeys-lru" in str(wrong)
