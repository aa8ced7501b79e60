"""Open files for clients, within what the system allows, and what is kept for others."""

from __future__ import annotations

import resource

import pytest

from dmqcache.config.limits import raise_open_files, room_for

INFINITY = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("soft", "hard", "set_to"),
    [
        (1024, 1_000_000, 11_024),
        (1024, INFINITY, 11_024),
        (20_000, 20_000, None),
        (INFINITY, INFINITY, None),
        (1024, 4096, 4096),
        (256, 256, 256),
    ],
)
def test_the_soft_limit_rises_to_what_is_needed_or_allowed(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, set_to: int | None
) -> None:
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda which: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda which, pair: given.append(pair))
    raise_open_files(10_000)
    assert given == ([] if set_to is None else [(set_to, hard)])


@pytest.mark.parametrize(
    ("soft", "room"), [(11_024, 10_000), (4096, 3072), (1024, 512), (256, 128), (1, 1), (INFINITY, 10_000)]
)
def test_files_are_kept_for_the_bus_and_http(monkeypatch: pytest.MonkeyPatch, soft: int, room: int) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (soft, INFINITY))
    assert room_for(10_000) == room
