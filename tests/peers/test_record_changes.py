"""``async for change in peer.changes()``: each change once, a bound on what waits, and a clear end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from dmqcache.peers import record_changes
from dmqcache.peers.record_changes import ChangesMissed, RecordChange, RecordChanges
from tests.waiting import until

Told = Callable[[RecordChange[str]], object]


class Source:
    """Tells changes to who listens."""

    def __init__(self) -> None:
        self.told: list[Told] = []

    def tell(self, told: Told) -> Callable[[], None]:
        self.told.append(told)
        return lambda: self.told.remove(told)

    def say(self, *words: str) -> None:
        for word in words:
            for told in list(self.told):
                told(RecordChange(None, word))


def test_what_a_change_is_in_one_word() -> None:
    assert RecordChange(None, "b").kind == "new"
    assert RecordChange("a", "b").kind == "changed"
    assert RecordChange("a", None).kind == "removed"
    assert RecordChange("a", None, expired=True).kind == "expired"


def test_each_change_is_given_once_and_in_order_also_to_who_waits() -> None:
    async def scenario() -> None:
        source = Source()
        source.say("before")
        changes = RecordChanges(source.tell)
        source.say("a", "b")
        assert [(await anext(changes)).after, (await anext(changes)).after] == ["a", "b"]
        waits = asyncio.ensure_future(anext(changes))
        await until(lambda: not changes._something.is_set())
        source.say("c")
        async with asyncio.timeout(10):
            assert (await waits).after == "c"

    asyncio.run(scenario())


def test_after_the_end_what_was_not_taken_is_given_and_the_loop_is_left() -> None:
    async def scenario() -> None:
        source, ended = Source(), list[object]()
        with RecordChanges(source.tell, ended.append) as changes:
            source.say("a")
        source.say("b")
        changes.close()
        assert [change.after async for change in changes] == ["a"]
        assert (source.told, ended) == ([], [changes])

    asyncio.run(scenario())


def test_who_is_too_slow_gets_what_waited_and_is_told_that_it_missed_something(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(record_changes, "MAX_WAITING", 2)

    async def scenario() -> None:
        source = Source()
        changes = RecordChanges(source.tell)
        source.say("a", "b", "c", "d")
        assert [(await anext(changes)).after, (await anext(changes)).after] == ["a", "b"]
        with pytest.raises(ChangesMissed, match="more than 2 changes waited"):
            await anext(changes)
        assert [change async for change in changes] == []
        assert source.told == []

    asyncio.run(scenario())
