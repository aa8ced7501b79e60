"""When a registrar has shown all that it has, and what of that it had before."""

from __future__ import annotations

import pytest

from dmqcache.bus.node import OWN_TAG, Node
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.peers.usrloc_look import ASK_AGAIN_S, BUSY_S, QUIET_S, SURELY_QUIET_S, Look


def look_at(*tags: str) -> Look:
    return Look(Node(NodeURI("10.0.0.1", 5060), supported=frozenset(tags)), 0.0, 0.0, spreads=True)


def show(look: Look, key: str, *, own: bool = False, removed: int | None = None, news: bool = False) -> None:
    look.shows(key, {"last_modified": 7}, removed, own=own, news=news)


def test_one_that_answered_has_shown_all_when_it_is_silent() -> None:
    look = look_at()
    assert not look.is_complete(100.0)
    look.answered_at = look.heard = 5.0
    assert not look.is_complete(5.0 + QUIET_S - 0.1) and look.is_complete(5.0 + QUIET_S)
    look.lacked = set()
    assert not look.is_complete(5.0 + SURELY_QUIET_S - 0.1) and look.is_complete(5.0 + SURELY_QUIET_S)


@pytest.mark.parametrize(("tags", "complete"), [((), True), ((OWN_TAG,), False)])
def test_a_kamailio_that_is_never_silent_has_shown_all_after_a_while(
    tags: tuple[str, ...], complete: bool
) -> None:
    """A dmqcache node answers first, and is heard as long as it shows something."""
    look = look_at(*tags)
    look.answered_at, look.heard = 5.0, 5.0 + QUIET_S + BUSY_S
    assert look.is_complete(5.0 + QUIET_S + BUSY_S) is complete


def test_a_question_that_was_lost_is_asked_again_each_time_later() -> None:
    look = look_at()
    assert not look.needs_question(ASK_AGAIN_S - 0.1) and look.needs_question(ASK_AGAIN_S)
    look.tries = 2
    look.is_asked(10.0)
    assert not look.needs_question(10 + ASK_AGAIN_S) and look.needs_question(10 + 2 * ASK_AGAIN_S)


def test_what_it_had_before_counts_while_it_shows_it_and_what_is_new_of_this_look_never() -> None:
    look = look_at()
    show(look, "old", own=True)
    show(look, "new", news=True)
    show(look, "new", own=True)
    assert (look.kept(), look.news) == (1, ["new"])
    look.is_second()
    assert (look.kept(), look.shown) == (0, {})
    show(look, "old", own=True)
    assert (look.kept(), look.shown) == (1, {"old": 7})


def test_what_was_removed_is_no_news_but_is_kept_with_the_time_of_its_removal() -> None:
    look = look_at()
    show(look, "gone", removed=9, news=True)
    assert (look.news, look.removed) == ([], {"gone": {"last_modified": 9}})
