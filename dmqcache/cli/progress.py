"""How far a long command is: one line on a terminal, drawn anew now and then; nothing where nobody looks."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from typing import Final, TextIO

#: Characters of the bar where there is room, fewer than which there is none, and seconds between drawings.
WIDTH: Final = 30
NARROW: Final = 5
DRAW_S: Final = 0.2


class Progress:
    """A bar on standard error. A context manager: at its end the line is taken away."""

    def __init__(
        self,
        what: str,
        total: int,
        done: int = 0,
        stream: TextIO | None = None,
        now: Callable[[], float] = time.monotonic,
        columns: int | None = None,
    ) -> None:
        """``what``: is counted; ``total`` of it, of which ``done`` were done before (0: nobody knows).
        ``columns``: of the terminal; None: as many as it says, or 80."""
        self._what = what
        self._total = total
        self._before = done
        self._stream = stream if stream is not None else sys.stderr
        self._shown = self._stream.isatty()
        self._now = now
        self._began = self._drawn = now()
        self._width = 0
        #: One less: a full line may wrap, and would be drawn below itself.
        self._room = (columns or shutil.get_terminal_size().columns) - 1

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._width:
            self._write("")
            self._stream.write("\r")
            self._stream.flush()

    def at(self, done: int) -> None:
        """So much is done by now."""
        now = self._now()
        if self._shown and now - self._drawn >= DRAW_S:
            self._drawn = now
            self._write(self.line(done, now))

    def line(self, done: int, now: float) -> str:
        """``[#####     ]  50 %, 500 of 1,000 cells, 100/s, 5 s left``"""
        rate = (done - self._before) / max(now - self._began, 0.001)
        if not self._total:
            return f"{done:,} {self._what}, {rate:,.0f}/s"
        share = min(1.0, done / self._total)
        left = f", {(self._total - done) / rate:,.0f} s left" if rate > 0 and done < self._total else ""
        text = f"{share:4.0%}, {done:,} of {self._total:,} {self._what}, {rate:,.0f}/s{left}"
        width = min(WIDTH, self._room - len(text) - len("[] "))
        if width < NARROW:
            return text.strip()[: self._room]
        return f"[{('#' * round(share * width)).ljust(width)}] {text}"

    def _write(self, line: str) -> None:
        self._stream.write(f"\r{line.ljust(self._width)}")
        self._stream.flush()
        self._width = len(line)
