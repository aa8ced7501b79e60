"""Open files for clients, within what the system allows."""

from __future__ import annotations

import resource

import pytest

from dmqcache.config.limits import raise_open_files

INFINITY = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("soft", "hard", "room", "set_to"),
    [
        (1024, 1_000_000, 10_000, 11_024),
        (1024, INFINITY, 10_000, 11_024),
        (20_000, 20_000, 10_000, None),
        (INFINITY, INFINITY, 10_000, None),
        (1024, 4096, 3072, 4096),
        (256, 256, 1, 256),
    ],
)
def test_the_soft_limit_rises_to_what_is_needed_or_allowed(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, room: int, set_to: int | None
) -> None:
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda which: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda which, pair: given.append(pair))
    assert raise_open_files(10_000) == room
    assert given == ([] if set_to is None else [(set_to, hard)])
