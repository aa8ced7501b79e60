"""Publications as the presence channel tells them: recorded ones, refreshed, changed and over."""

from __future__ import annotations

import json

import pytest

from dmqcache.peers.presence_wire import PresenceAction, PresenceWord, read_presence
from dmqcache.peers.presentity import Presentity, keys_of, published
from tests.peers.recordings import PRESENCE, PRESENCE_IN_MEMORY, bodies


def recorded(release: str) -> list[PresenceWord]:
    words = map(read_presence, bodies(release, "presence"))
    return [word for word in words if word.action is PresenceAction.PRESENTITY]


@pytest.mark.parametrize("release", [*PRESENCE, *PRESENCE_IN_MEMORY])
def test_a_recorded_publication_is_right_at_each_step(release: str) -> None:
    documents, known, newest = [], None, None
    for word in recorded(release):
        # Without what 6.1 told once more to one that was restarted: it has lost the document.
        if word.presentity["user"] == "alice" and (word.fields["t_new"] == 0 or known is None):
            named, now = keys_of(word)
            assert newest in (None, named), "each names the tag of the one before"
            newest = now
            known = published(known, word)
            documents.append("" if known is None else known.document)
            assert known is None or known.etag == now.etag
    opened, closed, refreshed, over = documents
    assert ("open" in opened, "closed" in closed, refreshed == closed, over) == (True, True, True, "")


def word(recv: int, expires: int = 600, **fields: str | int) -> PresenceWord:
    presentity = {
        "domain": "x",
        "user": "a",
        "etag": "e1",
        "expires": expires,
        "recv": recv,
        "event": "presence",
    }
    return PresenceWord(PresenceAction.PRESENTITY, presentity, {"ruid": "r1", **fields})


def test_a_late_word_changes_nothing() -> None:
    known = published(None, word(20, body="new"))
    assert published(known, word(19, body="old")) is known
    assert published(known, word(19, expires=0)) is known
    assert published(known, word(20, expires=0)) is None


def test_it_is_told_to_others_as_new_with_the_time_that_is_left() -> None:
    known = published(None, word(1000, cur_etag="e2", body="<p/>"))
    assert known is not None
    assert known.over_at == 1600
    told = json.loads(known.body(1100.5))
    assert (told["t_new"], told["cur_etag"], told["body"], told["ruid"]) == (1, "", "<p/>", "r1")
    assert (told["presentity"]["etag"], told["presentity"]["expires"], told["presentity"]["recv"]) == (
        "e2",
        499,
        1100,
    )


def test_it_is_known_by_its_entity_tag_whatever_its_ruid() -> None:
    first, refreshed = word(1), word(2, cur_etag="e2", ruid="r2")
    assert keys_of(first) == (("a", "x", "presence", "e1"), ("a", "x", "presence", "e1"))
    assert keys_of(refreshed) == (("a", "x", "presence", "e1"), ("a", "x", "presence", "e2"))


def test_it_is_shown_with_all_that_was_told() -> None:
    shown = Presentity(word(1000).presentity, {"sphere": "work", "body": "<p/>"}).shown(1100)
    assert (shown["presentity"], shown["event"], shown["expires_s"]) == ("sip:a@x", "presence", 500)
    assert (shown["document"], shown["fields"]["sphere"]) == ("<p/>", "work")
