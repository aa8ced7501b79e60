"""How far a long command is: one line on a terminal, drawn anew now and then; nothing where nobody looks."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Final, TextIO

#: Characters of the bar, and seconds between two drawings.
WIDTH: Final = 30
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
    ) -> None:
        """``what``: is counted; ``total`` of it, of which ``done`` were done before (0: nobody knows)."""
        self._what = what
        self._total = total
        self._before = done
        self._stream = stream if stream is not None else sys.stderr
        self._shown = self._stream.isatty()
        self._now = now
        self._began = self._drawn = now()
        self._width = 0

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
        bar = ("#" * round(share * WIDTH)).ljust(WIDTH)
        return f"[{bar}] {share:4.0%}, {done:,} of {self._total:,} {self._what}, {rate:,.0f}/s{left}"

    def _write(self, line: str) -> None:
        self._stream.write(f"\r{line.ljust(self._width)}")
        self._stream.flush()
        self._width = len(line)
