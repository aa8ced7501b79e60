"""What every section of the status page is made of: headings, tables, escaped texts, numbers that read well.

What the sections say is the business of ``page.py`` and the files beside it. All text of others goes through
:func:`text`, which is the one place that makes it harmless.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

#: Lines of a list; a node list that somebody forged shall not make a page of megabytes.
MAX_ROWS: Final = 100
NONE: Final = "–"

#: Seconds and name of a unit, and of the one below it.
_UNITS: Final = ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))
#: Bytes and name of a unit.
_SIZES: Final = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))

#: A column of a table: its heading, and whether it holds numbers.
Column = tuple[str, bool]


def text(any_text: str) -> str:
    """Any text as HTML. What cannot be printed is shown as an escape: bytes that are no UTF-8, controls, and
    marks that turn the direction of writing around."""
    if not any_text.isprintable():
        any_text = "".join(
            char if char.isprintable() else char.encode("unicode_escape").decode() for char in any_text
        )
    return escape(any_text)


def pill(colour: str, word: str) -> str:
    """A word on a coloured ground: ``ok``, ``warn``, ``bad`` or ``idle``. ``word`` is HTML."""
    return f'<span class="pill {colour}">{word}</span>'


def section(
    title: str,
    columns: Sequence[Column],
    lines: Sequence[tuple[str, ...]],
    empty: str,
    total: int,
    stack: bool = False,
) -> str:
    """A heading and a table; ``stack``: on a narrow screen each line becomes a block of its own."""
    if not lines:
        return f'<h2>{title}</h2><div class="box none">{empty}</div>'
    head = "".join(f"<th{_number_class(is_number)}>{name}</th>" for name, is_number in columns)
    body = "".join(f"<tr>{_cells(columns, line)}</tr>" for line in lines)
    more = f'<div class="none">and {number(total - len(lines))} more</div>' if total > len(lines) else ""
    kind = ' class="stack"' if stack else ""
    return (
        f'<h2>{title}</h2><div class="box"><table{kind}><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table>{more}</div>"
    )


def side_by_side(sections: Iterable[str]) -> str:
    """Sections in columns, where the screen is wide enough."""
    return f'<div class="pair">{"".join(f"<div>{one}</div>" for one in sections)}</div>'


def _cells(columns: Sequence[Column], line: Iterable[str]) -> str:
    return "".join(
        f'<td{_number_class(is_number)} data-is="{name}">{content}</td>'
        for (name, is_number), content in zip(columns, line, strict=True)
    )


def _number_class(is_number: bool) -> str:
    return ' class="n"' if is_number else ""


def number(value: int) -> str:
    """With thin spaces between thousands."""
    return f"{value:,}".replace(",", "\u202f")


def rate(per_second: float | None) -> str:
    """Events a second; a dash where nothing was measured yet."""
    if per_second is None:
        return NONE
    if 0 < per_second < 10:
        return f"{per_second:.1f}/s" if per_second >= 0.05 else "< 0.1/s"
    return f"{number(round(per_second))}/s"


def size(octets: int | None) -> str:
    """Bytes in their largest unit; a dash where they are not known."""
    if octets is None:
        return NONE
    for unit, name in _SIZES:
        if octets >= unit:
            amount = octets / unit
            return f"{amount:.0f} {name}" if amount >= 100 else f"{amount:.1f} {name}"
    return f"{octets} B"


def duration(seconds: float) -> str:
    """A time in its two largest units."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    large, large_name, small, small_name = next(unit for unit in _UNITS if seconds >= unit[0])
    rest = int(seconds % large) // small
    return f"{int(seconds // large)} {large_name}" + (f" {rest} {small_name}" if rest else "")


def listing(names: Sequence[str], most: int = 5) -> str:
    """``a``, ``a and b``, ``a, b and c``; what is beyond ``most`` as a number. The names are HTML."""
    if len(names) > most:
        names = [*names[:most], f"{number(len(names) - most)} more"]
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)
