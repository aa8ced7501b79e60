"""The thread that writes the file, so that the event loop never waits for a disk.

Owns the thread and the order of its work. What is to be done, the keeper says; how, the file knows.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue

from dmqcache.disk.file import DiskFile

log = logging.getLogger("dmqcache.disk")

Work = Callable[[DiskFile], object]
#: Told how a piece of work ended: None, or why it failed.
Done = Callable[[Exception | None], None]


class DiskWriter:
    """Does one piece of work after the other, and says on the loop how each ended."""

    def __init__(self, file: DiskFile, post: Callable[[Callable[[], None]], object]) -> None:
        """``post``: has something called on the loop's thread soon; RuntimeError once the loop is closed."""
        self._file = file
        self._post = post
        self._work: SimpleQueue[tuple[Work, Done] | None] = SimpleQueue()
        # A daemon: a program that forgets to stop its node ends all the same, with what is committed.
        self._thread = threading.Thread(target=self._run, name="dmqcache disk", daemon=True)
        self._thread.start()

    def submit(self, work: Work, done: Done) -> None:
        """Have this done after all that was submitted before."""
        self._work.put((work, done))

    def close(self, done: Done) -> None:
        """Close the file after all that was submitted, and end."""
        self.submit(DiskFile.close, done)
        self._work.put(None)

    def _run(self) -> None:
        while (item := self._work.get()) is not None:
            work, done = item
            error: Exception | None = None
            try:
                work(self._file)
            except Exception as failure:
                error = failure
            try:
                self._post(lambda done=done, error=error: done(error))  # type: ignore[misc]
            except RuntimeError:
                log.debug("the loop is closed: nobody hears how writing ended")
