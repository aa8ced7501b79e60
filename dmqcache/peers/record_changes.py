"""``async for change in node.peer("usrloc").changes()``: what becomes of a mirror's records, on a loop.

Each change is given once and in order, none of them is merged into another: who registers and leaves again is
seen to do so. So what waits is bounded, and who is too slow is told that it missed something. Who tells the
changes is ``mirror.py``.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, Self, TypeVar

#: Changes that wait for one program: some ten MB.
MAX_WAITING: Final = 10_000

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class RecordChange(Generic[R]):
    """One record before and after a change."""

    #: None: it was not known.
    before: R | None
    #: None: it is gone.
    after: R | None
    #: It is gone as its time was over; nobody has removed it.
    expired: bool = False

    @property
    def kind(self) -> str:
        """``new``, ``changed``, ``removed`` or ``expired``."""
        if self.after is not None:
            return "new" if self.before is None else "changed"
        return "expired" if self.expired else "removed"


class ChangesMissed(Exception):
    """More than :data:`MAX_WAITING` changes waited: from here on some were not kept. Look at all records, and
    begin anew."""


class RecordChanges(Generic[R]):
    """The changes from now on. Ends (the loop is left) after ``close()``, or when the node stops, once what
    came before is taken; ChangesMissed instead where more came than may wait."""

    def __init__(
        self,
        tell: Callable[[Callable[[RecordChange[R]], object]], Callable[[], None]],
        ended: Callable[[RecordChanges[R]], object] = lambda _: None,
    ) -> None:
        """``tell``: from now on tells a function each change, and returns what ends that. ``ended``: called
        once at the end."""
        self._waiting: deque[RecordChange[R]] = deque()
        self._something = asyncio.Event()
        self._closed = self._missed = False
        self._ended = ended
        self._forget = tell(self._came)

    def _came(self, change: RecordChange[R]) -> None:
        if len(self._waiting) >= MAX_WAITING:
            self._missed = True
            self.close()
            return
        self._waiting.append(change)
        self._something.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> RecordChange[R]:
        while not self._waiting:
            if self._missed:
                self._missed = False
                raise ChangesMissed(f"more than {MAX_WAITING} changes waited to be taken")
            if self._closed:
                raise StopAsyncIteration
            self._something.clear()
            await self._something.wait()
        return self._waiting.popleft()

    def close(self) -> None:
        """No more of them; what was not taken yet is still given."""
        if self._closed:
            return
        self._closed = True
        self._forget()
        with contextlib.suppress(ValueError):
            self._ended(self)
        self._something.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
