"""What is looked at now and then, and when somebody asks."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from dmqcache.bus.net import lookout
from dmqcache.bus.net.lookout import Lookout, stamp
from tests.waiting import until


def test_it_looks_again_and_again_until_it_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookout, "INTERVAL_SECONDS", 0.001)
    looks: list[bool] = []

    async def look(asked: bool) -> None:
        looks.append(asked)

    async def main() -> None:
        watching = Lookout(look, "test")
        watching.start()
        assert looks == [], "not before the first pause"
        await until(lambda: len(looks) > 2)
        await watching.close()
        assert not any(task.get_name() == "test" for task in asyncio.all_tasks())

    asyncio.run(main())
    assert set(looks) == {False}


def test_who_asks_waits_for_no_pause_and_is_answered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookout, "INTERVAL_SECONDS", 3600.0)
    looks: list[bool] = []

    async def look(asked: bool) -> None:
        looks.append(asked)

    async def main() -> None:
        watching = Lookout(look, "test")
        watching.start()
        for number in (1, 2):
            watching.ask()
            watching.ask()
            await until(lambda wanted=number: len(looks) == wanted)  # type: ignore[misc]
        await watching.close()

    asyncio.run(main())
    assert looks == [True, True]


def test_one_that_was_never_started_closes() -> None:
    async def look(asked: bool) -> None:
        raise AssertionError("nobody asked")

    async def main() -> None:
        await Lookout(look, "test").close()

    asyncio.run(main())


def test_a_file_that_is_written_anew_or_replaced_has_another_stamp(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert stamp(path) == (0, 0)
    path.write_text("a")
    os.utime(path, ns=(1, 1))
    first = stamp(path)
    os.utime(path, ns=(2, 2))
    assert stamp(path) != first
    other = tmp_path / "other"
    other.write_text("a")
    os.utime(other, ns=(2, 2))
    second = stamp(path)
    other.replace(path)
    assert stamp(path) != second
