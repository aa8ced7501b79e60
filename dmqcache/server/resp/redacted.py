"""A command's words as they may be shown to others: without passwords."""

from __future__ import annotations

from typing import Final

HIDDEN: Final = "(redacted)"


def redacted(args: list[str]) -> list[str]:
    """The words of AUTH, and in HELLO those that follow AUTH, are hidden; all others stay."""
    name = args[0].upper()
    if name == "AUTH":
        return [args[0], *[HIDDEN] * (len(args) - 1)]
    if name == "HELLO":
        shown, hidden = [], 0
        for word in args:
            shown.append(HIDDEN if hidden else word)
            hidden = 2 if word.upper() == "AUTH" and not hidden else max(0, hidden - 1)
        return shown
    return args
