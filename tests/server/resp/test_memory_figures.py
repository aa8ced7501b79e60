"""What the node takes: one reckoning for INFO and MEMORY STATS, whose parts agree with each other."""

from __future__ import annotations

from dmqcache.server.resp.memory_figures import memory_figures, memory_stats
from dmqcache.store.table.evicting import CELL_BYTES
from tests.server.fakes import make_session
from tests.server.resp.saying import say


def test_the_parts_agree() -> None:
    session = make_session()
    shared = session.shared
    shared.held = 77
    shared.startup_bytes = 1 << 20
    say(session, "SET", "abc", "12345")
    say(session, "SET", "d", "1")
    stats = memory_stats(shared)
    found = memory_figures(shared)
    assert 1 << 20 < found.total <= found.peak
    assert (stats["startup.allocated"], stats["clients.normal"]) == (1 << 20, 77)
    assert (stats["keys.count"], stats["dataset.bytes"]) == (2, 3 + 5 + 1 + 1)
    assert stats["overhead.total"] == found.total - 10 or found.overhead  # measured twice
    assert stats["db.0"] == {
        "overhead.hashtable.main": 2 * CELL_BYTES,
        "overhead.hashtable.expires": 0,
        "overhead.hashtable.slot-to-keys": 0,
    }
    assert "db.1" not in stats
    assert "tombstones.bytes" not in stats
    say(session, "DEL", "d")
    stats = memory_stats(shared)
    assert (stats["tombstones.bytes"], stats["dataset.bytes"]) == (CELL_BYTES, 3 + 5)
    assert 0 < float(str(stats["dataset.percentage"])) < 100 >= float(str(stats["peak.percentage"])) > 0


def test_without_a_key_there_is_no_number_for_each() -> None:
    stats = memory_stats(make_session().shared)
    assert (stats["keys.count"], stats["keys.bytes-per-key"], stats["lua.caches"]) == (0, 0, 0)
