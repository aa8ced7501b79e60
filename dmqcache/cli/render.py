"""What the commands print: aligned and escaped for people, tab-separated lines for pipes, JSON.

In a terminal nothing from a table may act on it, so control characters are shown as escapes. For a pipe a
single value is its very bytes, and a list has one line for each entry, with tab, line end and backslash
written as ``\\t``, ``\\n``, ``\\\\``. JSON lists that can be long are one value a line.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

Mode = Literal["people", "plain", "json"]

#: Below it, a time to live is worth more than whole seconds.
MINUTE_S = 60
#: Between two columns.
GAP = "  "
_PLAIN_ESCAPES = str.maketrans({"\t": "\\t", "\n": "\\n", "\r": "\\r", "\\": "\\\\"})


def choose(as_json: bool) -> Mode:
    """JSON where it was asked for; else by who reads."""
    if as_json:
        return "json"
    return "people" if sys.stdout.isatty() else "plain"


def open_streams() -> None:
    """Give each standard stream that the caller closed (``>&-``) nowhere to write to: Python has no object
    for it, and the next file or socket would get its number and all that is printed."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))


def abandon(number: int) -> None:
    """What is left in a stream's buffer cannot be written, at the exit neither: send it nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)


class ReaderGone(Exception):
    """Whoever read the output has seen enough (``| head``)."""


def line(text: str) -> None:
    """One line, any bytes."""
    try:
        sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape") + b"\n")
    except BrokenPipeError:
        raise ReaderGone from None


def note(text: str, mode: Mode) -> None:
    """Said to people only."""
    if mode == "people":
        line(text)


def as_json(value: Any) -> None:
    """One JSON value. Bytes that are no UTF-8 stand as ``\\udcXX``, as Python writes them."""
    import json

    line(json.dumps(value))


def visible(text: str) -> str:
    """As it may be shown in a terminal."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def raw(value: str | int) -> None:
    """A value's bytes and nothing else."""
    try:
        sys.stdout.buffer.write(str(value).encode("utf-8", "surrogateescape"))
    except BrokenPipeError:
        raise ReaderGone from None


def one_value(value: str | int, mode: Mode) -> None:
    """A value alone: its bytes for a pipe."""
    line(visible(str(value)) if mode == "people" else str(value))


def one_line(parts: Iterable[Any], mode: Mode) -> None:
    """An entry of a list that may be long."""
    texts = ["" if part is None else str(part) for part in parts]
    if mode == "people":
        line(GAP.join(map(visible, texts)))
    else:
        line("\t".join(text.translate(_PLAIN_ESCAPES) for text in texts))


def cell(key: str, value: str | int, ttl: float | None) -> None:
    """A key with its value, for people."""
    left = "" if ttl is None else f"{GAP}({duration(ttl)})"
    line(f"{visible(key)} = {visible(str(value))}{left}")


def table(rows: Sequence[Mapping[str, Any]], mode: Mode) -> None:
    """A short list of rows with the same columns."""
    if mode == "json":
        as_json(list(rows))
    elif mode == "plain":
        for row in rows:
            # Names that other nodes give themselves: for a script too they are shown, not run.
            line("\t".join(visible(_cell(value).translate(_PLAIN_ESCAPES)) for value in row.values()))
    elif rows:
        shown = [[visible(_cell(value)) for value in row.values()] for row in rows]
        titles = [_title(name) for name in rows[0]]
        widths = [max(map(len, column)) for column in zip(titles, *shown, strict=True)]
        if sum(widths) + len(GAP) * (len(widths) - 1) > _terminal_width():
            _paragraphs(titles, shown)
            return
        numeric = [all(map(_is_number, column)) for column in _columns(rows)]
        for texts in (titles, *shown):
            cells = (
                text.rjust(width) if right else text.ljust(width)
                for text, width, right in zip(texts, widths, numeric, strict=True)
            )
            line(GAP.join(cells).rstrip())


def _terminal_width() -> int:
    return shutil.get_terminal_size().columns


def _paragraphs(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table that is too wide for the terminal: each row by itself, with the columns' names."""
    for name, *texts in rows:
        parts = [f"{title}: {text or '-'}" for title, text in zip(titles[1:], texts, strict=True)]
        line(name)
        text = "  "
        for part in parts:
            if len(text) + len(part) > _terminal_width() - 1 and text.strip():
                line(text.rstrip())
                text = "  "
            text += f"{part}{GAP}"
        line(text.rstrip())


def sections(report: Mapping[str, Mapping[str, Any]], mode: Mode) -> None:
    """Figures by section."""
    if mode == "json":
        as_json(report)
        return
    for title, section in report.items():
        if mode == "people":
            line(f"{title}")
        width = max(map(len, section), default=0)
        for name, value in section.items():
            if mode == "people":
                line(f"  {name.ljust(width)}  {visible(str(value))}")
            else:
                one_line((f"{title}.{name}", value), mode)


def duration(seconds: float) -> str:
    """A time to live for people."""
    return f"expires in {seconds:.3g} s" if seconds < MINUTE_S else f"expires in {round(seconds)} s"


def _columns(rows: Sequence[Mapping[str, Any]]) -> Iterable[list[Any]]:
    return ([row[name] for row in rows] for name in rows[0])


def _title(name: str) -> str:
    return name.removesuffix("_s").removesuffix("_ms").replace("_", " ") + _unit(name)


def _unit(name: str) -> str:
    if name.endswith("_ms"):
        return " (ms)"
    return " (s)" if name.endswith("_s") else ""


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return _figure(value)
    return str(value)


def _figure(value: float) -> str:
    """Three digits, without an exponent; nobody needs to read microseconds."""
    if abs(value) >= 1000:
        return str(round(value))
    return f"{value:.3g}" if abs(value) >= 0.1 else f"{value:.3f}"
