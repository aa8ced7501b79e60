"""INFO as Redis' clients and exporters read it."""

from __future__ import annotations

import os

from dmqcache.disk.keeper import DiskStatus
from dmqcache.server.resp.info import human, sections
from dmqcache.store.table.evicting import Policy
from tests.server.fakes import FakeNode, make_session
from tests.server.resp.saying import say


def test_sections_and_the_names_that_clients_look_for() -> None:
    session = make_session()
    say(session, "SET", "a", "1")
    say(session, "GET", "a")
    session.shared.node.bus.counters.messages["htable", "in", "200"] += 2
    info = str(say(session, "INFO"))
    assert "# Server\r\nredis_version:7" in info
    wanted = ("keyspace_hits:1", "connected_slaves:1", "messages_htable_in_200:2", "cluster_enabled:0")
    for line in (*wanted, "loading:0"):
        assert f"{line}\r\n" in info, line
    assert str(say(session, "INFO", "cluster")) == "# Cluster\r\ncluster_enabled:0\r\n"
    both = str(say(session, "INFO", "cluster", "keyspace"))
    assert both == "# Cluster\r\ncluster_enabled:0\r\n\r\n# Keyspace\r\ndb0:keys=1,expires=0,avg_ttl=0\r\n"


def test_of_a_disk_it_says_how_far_it_is_behind() -> None:
    session = make_session()
    assert "disk_behind_seconds" not in str(say(session, "INFO", "persistence"))
    session.shared.node.disk = DiskStatus("/data", 1.0, lambda: 0.25, bytes=7)  # type: ignore[misc]
    info = str(say(session, "INFO", "persistence"))
    for line in ("disk_behind_seconds:0.250", "aof_enabled:1", "aof_current_size:7"):
        assert f"{line}\r\n" in info, line


def test_the_keyspace_has_what_exporters_read_and_nothing_else() -> None:
    session = make_session(FakeNode("cache", "users", "none"))
    for number in range(3):
        say(session, "SET", f"k{number}", "1")
    say(session, "SET", "t", "1", "EX", "100")
    say(session, "SELECT", "users")
    say(session, "SET", "u", "1", "EX", "10")
    keyspace = sections(session.shared)["Keyspace"]
    assert set(keyspace) == {"db0", "db1"}
    fields = dict(part.split("=") for part in str(keyspace["db0"]).split(","))
    assert fields == {"keys": "4", "expires": "1", "avg_ttl": fields["avg_ttl"]}
    assert 99_000 <= int(fields["avg_ttl"]) <= 101_000
    assert sections(session.shared)["Tables"]["table1"] == "name=users,keys=1,bytes=2"


def test_memory_is_the_process() -> None:
    memory = sections(make_session().shared)["Memory"]
    assert 1 << 20 < memory["used_memory"] <= memory["used_memory_peak"]
    assert (memory["maxmemory"], memory["maxmemory_policy"], memory["maxmemory_full"]) == (0, "noeviction", 0)
    session = make_session()
    session.shared.node.memory.bound(100 << 20, Policy.VOLATILE_TTL)
    memory = sections(session.shared)["Memory"]
    assert (memory["maxmemory"], memory["maxmemory_human"]) == (100 << 20, "100.00M")
    assert (memory["maxmemory_policy"], memory["used_memory_cells"]) == ("volatile-ttl", 1234)
    assert memory["used_memory_tombstones"] == 0
    session.shared.node.tables["cache"].counters.evictions += 3
    assert sections(session.shared)["Stats"]["evicted_keys"] == 3
    assert sections(make_session().shared)["Server"]["process_id"] == os.getpid()


def test_sizes_for_people() -> None:
    assert [human(size) for size in (0, 1023, 1024, 1_572_864, 5 << 40)] == [
        "0B",
        "1023B",
        "1.00K",
        "1.50M",
        "5120.00G",
    ]


def test_counts_begin_at_nothing_again_and_the_metrics_go_on() -> None:
    session = make_session()
    for words in (["GET", "a"], ["SET", "a", "1"], ["GET", "a"], ["NOPE"]):
        say(session, *words)
    before = sections(session.shared)["Stats"]
    assert (before["keyspace_hits"], before["keyspace_misses"], before["total_error_replies"]) == (1, 1, 1)
    assert say(session, "CONFIG", "RESETSTAT") == "OK"
    assert not any(sections(session.shared)["Stats"].values())
    say(session, "GET", "a")
    assert sections(session.shared)["Stats"]["keyspace_hits"] == 1
    assert session.table.counters.hits == 2
