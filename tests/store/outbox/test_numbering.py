"""When a change was made is known to the last note before it."""

from __future__ import annotations

from dmqcache.store.outbox.numbering import MAX_NOTES, Numbering, Promise


def test_a_change_was_made_after_the_last_note_without_it() -> None:
    numbering = Numbering()
    assert numbering.before(1) == 0
    for number, wall in ((0, 100), (3, 200), (3, 300), (9, 400)):
        numbering.note(number, wall)
    assert [numbering.before(number) for number in (1, 3, 4, 9, 10)] == [100, 100, 300, 300, 400]


def test_only_so_many_notes_are_kept() -> None:
    numbering = Numbering()
    for number in range(MAX_NOTES + 10):
        numbering.note(number, number)
    assert numbering.before(5) == 10


def test_a_promise_is_kept_when_its_last_name_is_acknowledged() -> None:
    promise = Promise(5)
    assert not promise.is_kept(None) and not promise.is_kept(9)
    promise.last = 8
    assert not promise.is_kept(6) and not promise.is_kept(8)
    assert promise.is_kept(9) and promise.is_kept(None)
