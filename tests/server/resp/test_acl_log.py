"""The log of refusals: the newest first, what repeats is counted, and it stays small."""

from __future__ import annotations

from dmqcache.server.resp.acl_log import GROUPED_S, KEPT, LONGEST, AclLog, Entry


def entry(name: str = "get", at: float = 0.0, reason: str = "command", user: str = "alice") -> Entry:
    return Entry(reason, "toplevel", name, user, "id=1", at)


def test_the_newest_first_and_no_more_than_are_kept() -> None:
    log = AclLog()
    for number in range(KEPT + 5):
        log.add(entry(str(number)))
    assert len(log.entries) == KEPT
    assert log.entries[0].object == str(KEPT + 4)
    assert log.counts["command"] == KEPT + 5
    log.clear()
    assert not log.entries


def test_what_repeats_within_a_minute_is_counted_and_comes_first() -> None:
    log = AclLog()
    for one in (entry(at=1), entry("set", at=2), entry(at=3), entry(at=3, user="bob")):
        log.add(one)
    assert [(one.object, one.username, one.count) for one in log.entries] == [
        ("get", "bob", 1),
        ("get", "alice", 2),
        ("set", "alice", 1),
    ]
    log.add(entry(at=3 + GROUPED_S + 1))
    assert log.entries[0].count == 1


def test_names_that_strangers_choose_are_cut() -> None:
    log = AclLog()
    log.add(entry("x" * 1000, user="y" * 1000))
    log.entries[0].client = "z" * 1000
    log.add(log.entries[0])
    assert len(log.entries[0].client) == 4 * LONGEST
    assert len(log.entries[0].object) == len(log.entries[0].username) == LONGEST
