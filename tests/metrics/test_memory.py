"""The process's memory: a plausible number, and none where the system does not tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from dmqcache.metrics.memory import resident_bytes


def test_it_is_what_the_process_takes() -> None:
    status = Path("/proc/self/status").read_text()
    told = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")) * 1024
    found = resident_bytes()
    assert found is not None
    assert abs(found - told) < 8 << 20


def test_none_where_there_is_no_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(self: Path, *args: object) -> str:
        raise FileNotFoundError(self)

    monkeypatch.setattr(Path, "read_text", missing)
    assert resident_bytes() is None
