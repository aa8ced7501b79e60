"""Scans go on where they stood, on any connection, also when a reply was lost."""

from __future__ import annotations

import pytest

from dmqcache.server.resp import cursors
from dmqcache.server.resp.cursors import Cursors


def test_a_scan_goes_on_after_its_last_key() -> None:
    scans = Cursors(7)
    first = scans.advance(0, "t", "b")
    second = scans.advance(first, "t", "d")
    assert 0 != first != second
    assert scans.find(second, "t") == "d"


def test_the_last_step_can_be_asked_again_and_older_ones_not() -> None:
    scans = Cursors()
    first = scans.advance(0, "t", "b")
    second = scans.advance(first, "t", "d")
    assert scans.find(first, "t") == "b"
    assert scans.advance(first, "t", "d") == second
    scans.advance(second, "t", "f")
    with pytest.raises(KeyError):
        scans.find(first, "t")


def test_a_cursor_belongs_to_its_table() -> None:
    scans = Cursors()
    cursor = scans.advance(0, "t", "b")
    with pytest.raises(KeyError):
        scans.find(cursor, "other")


def test_what_is_no_cursor() -> None:
    scans = Cursors()
    for cursor in (5, -1, 1 << 40):
        with pytest.raises(KeyError):
            scans.find(cursor, "t")


def test_the_scan_that_stood_still_longest_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cursors, "MAX_SCANS", 3)
    scans = Cursors()
    first, second, third = (scans.advance(0, "t", key) for key in "abc")
    scans.find(first, "t")
    scans.advance(0, "t", "d")
    assert len(scans) == 3
    assert scans.find(first, "t") == "a"
    assert scans.find(third, "t") == "c"
    with pytest.raises(KeyError):
        scans.find(second, "t")


def test_scans_at_their_end_take_no_place_and_their_last_step_can_be_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cursors, "MAX_SCANS", 2)
    scans = Cursors()
    first, second = (scans.advance(0, "t", key) for key in "ab")
    scans.finish(first)
    scans.finish(first)
    third = scans.advance(0, "t", "c")
    assert [scans.find(one, "t") for one in (first, second, third)] == ["a", "b", "c"]
    # Asked again, it goes on: something was written behind its last key meanwhile.
    further = scans.advance(first, "t", "z")
    assert (scans.find(further, "t"), scans.find(first, "t"), len(scans)) == ("z", "a", 2)
    for key in "de":
        scans.finish(scans.advance(0, "t", key))
    assert scans.find(further, "t") == "z"


def test_cursors_fit_into_a_double() -> None:
    scans = Cursors((1 << 31) - 1)
    for _ in range(3):
        assert scans.advance(0, "t", "a") < 1 << 53
