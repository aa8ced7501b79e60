"""The last warnings, kept for the page: from which level on, how many, how long."""

from __future__ import annotations

import logging

from dmqcache.server.http.recent_warnings import KEPT, LONGEST, RecentWarnings

log = logging.getLogger("dmqcache.bus.test")


def texts(kept: RecentWarnings) -> list[str]:
    return [line.text for line in kept.lines()]


def test_warnings_and_errors_are_kept_while_it_listens() -> None:
    kept = RecentWarnings()
    log.warning("too early")
    kept.start()
    try:
        log.info("life as usual")
        log.warning("a %s", "warning")
        try:
            raise ValueError("a reason")
        except ValueError:
            log.exception("a failure")
    finally:
        kept.stop()
    log.warning("too late")
    assert texts(kept) == ["a failure: ValueError('a reason')", "a warning"]
    assert [line.level for line in kept.lines()] == ["error", "warning"]
    assert kept.lines()[0].wall >= kept.lines()[1].wall > 1e9


def test_memory_is_bounded() -> None:
    kept = RecentWarnings()
    kept.start()
    try:
        for number in range(KEPT + 10):
            log.warning("%d %s", number, "x" * 10_000)
    finally:
        kept.stop()
    assert len(kept.lines()) == KEPT
    assert texts(kept)[0].startswith(f"{KEPT + 9} xxx")
    assert max(map(len, texts(kept))) <= LONGEST + 3
