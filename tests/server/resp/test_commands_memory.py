"""MEMORY: what keys take, to the byte, and words; names and types beside Redis: test_memory_beside_redis."""

from __future__ import annotations

from dmqcache.store.table.evicting import CELL_BYTES, evict, used_by
from tests.server.fakes import FakeNode, make_session
from tests.server.resp.saying import say


def test_all_keys_together_take_what_is_held_against_the_bound() -> None:
    session = make_session()
    written = "SET a 1|SET bb xyz|INCR n|APPEND bb more|SET c x EX 100|SET d x|RENAME d e"
    for words in written.split("|"):
        say(session, *words.split(" "))
    usage = [say(session, "MEMORY", "USAGE", key) for key in session.table]
    assert usage[0] == CELL_BYTES + len("a") + len("1")
    # ``d`` is remembered as deleted, and does not count.
    assert sum(usage) == used_by(session.table)
    assert say(session, "MEMORY", "USAGE", "none") is None


def test_the_doctor_has_the_words_of_the_status_page() -> None:
    node = FakeNode("cache", "users")
    session = make_session(node)
    assert say(session, "MEMORY", "DOCTOR") == (
        "nothing is wrong: cells take 1234 bytes and have no bound (max_memory).\n"
    )
    node.memory.limit = 5000
    assert "and may take 5000." in str(say(session, "MEMORY", "DOCTOR"))
    node.memory.remembered = 840
    assert str(say(session, "MEMORY", "DOCTOR")).endswith(
        "may take 5000; remembered deletes take 840 bytes, which do not count.\n"
    )
    node.memory.remembered = 0
    node.memory.words = "memory is full"
    say(session, "SET", "a", "1")
    evict(session.table, session.table.cells["a"])
    assert say(session, "MEMORY", "DOCTOR") == (
        "memory is full; cache lacks cells that were evicted on this node, 1 so far.\n"
    )
