"""Who was told what a moment ago, and for how long that is kept."""

from __future__ import annotations

import pytest

from dmqcache.bus.sip.uri import NodeURI
from dmqcache.peers import usrloc_crossing
from dmqcache.peers.usrloc_crossing import CROSSING_S, Crossing

ONE, TWO = NodeURI("10.0.0.1", 5060), NodeURI("10.0.0.2", 5060)


def test_who_was_told_a_contact_is_known_for_a_moment() -> None:
    crossing = Crossing()
    crossing.told("alice", TWO, 1.0)
    crossing.told("alice", ONE, 2.0)
    assert crossing.who_was_told("alice", 3.0) == [ONE, TWO]
    assert crossing.who_was_told("alice", 1.5 + CROSSING_S) == [ONE]
    assert crossing.who_was_told("bob", 3.0) == []


def test_who_is_told_again_is_known_from_then_on() -> None:
    crossing = Crossing()
    for now in (1.0, 5.0):
        crossing.told("alice", ONE, now)
    assert crossing.who_was_told("alice", 4.0 + CROSSING_S) == [ONE] and len(crossing) == 1


def test_what_is_old_is_forgotten() -> None:
    crossing = Crossing()
    for number in range(100):
        crossing.told(f"{number}", ONE, 0.0)
    for number in range(50):
        crossing.told(f"new-{number}", ONE, CROSSING_S + 1)
    assert len(crossing) == len(crossing._nodes) == 50
    for _ in range(25):
        assert crossing.who_was_told("another", 2 * CROSSING_S + 2) == []
    assert len(crossing) == len(crossing._nodes) == 0


def test_it_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usrloc_crossing, "MAX_TOLD", 10)
    crossing = Crossing()
    for number in range(50):
        crossing.told(f"{number}", ONE, 0.0)
    assert len(crossing) == len(crossing._nodes) == 10
    assert crossing.who_was_told("49", 0.0) == [ONE] and crossing.who_was_told("0", 0.0) == []
