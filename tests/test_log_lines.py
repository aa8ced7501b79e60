"""docs/operations.md tells of the log: each line that it has is written somewhere, and no warning lacks."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
#: What stands for something else in a line of the page: names in capitals, numbers, a node's status.
HOLE = re.compile(r"\b(?:[A-Z]+|\d+|active|pending|timeout|disabled)\b(?: s\b)?|\.\.\.")
#: What is put in by the code.
FIELD = re.compile(r"%[-.\d]*[sdrfg]|\0")
#: Characters of a piece that says what line it is.
WORDS = 8
#: These mean something to all callers of theirs, not to an operator; a traceback follows.
OF_PROGRAMS = re.compile(r"^(and a message on|telling that|on_response of|a callback of (a table|the ))")


def page() -> str:
    text = (ROOT / "docs" / "operations.md").read_text("utf-8").partition("\n## Log lines\n")[2]
    return text.partition("\n## ")[0]


def told_of() -> list[str]:
    """The lines that the page tells of, as it writes them."""
    rows = re.findall(r"^\| (.*?) \|", page(), re.MULTILINE)[2:]
    return [line for row in rows for line in re.findall(r"`([^`]+)`", row)]


def modules() -> Iterator[ast.Module]:
    for path in sorted((ROOT / "dmqcache").rglob("*.py")):
        yield ast.parse(path.read_text("utf-8"))


def texts() -> Iterator[str]:
    """Every text in the source, what is put in being a field."""
    for tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                parts = (str(one.value) if isinstance(one, ast.Constant) else "\0" for one in node.values)
                yield "".join(parts)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def complaints() -> Iterator[str]:
    """What is written as a warning or an error in so many words."""
    for tree in modules():
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and ast.unparse(node.func.value) == "log"
                and node.func.attr in ("warning", "error", "exception")
                and isinstance(node.args[0], ast.Constant)
            ):
                line = str(node.args[0].value)
                # The others are put together from texts that stand elsewhere.
                if len((pieces(line, FIELD) or [""])[0]) >= WORDS:
                    yield line


def pieces(line: str, hole: re.Pattern[str]) -> list[str]:
    """The words between what is put in, longest first."""
    found = (part.strip(" ,;:()=") for piece in hole.split(line) for part in re.split("[:;,] ", piece))
    return sorted(filter(None, found), key=len, reverse=True)


def test_each_line_of_the_page_is_written_somewhere() -> None:
    written = "\n".join("\n".join(pieces(text, FIELD)) for text in texts())
    lines = told_of()
    assert len(lines) > 60
    lost = [line for line in lines if (pieces(line, HOLE) or [line])[0] not in written]
    assert lost == [], "nobody writes such a line (any more)"


def test_each_warning_stands_on_the_page() -> None:
    text, lines = page(), list(complaints())
    assert len(lines) > 40
    lacking = [
        line
        for line in lines
        if not (
            OF_PROGRAMS.match(line)
            or any(len(piece) >= WORDS and piece in text for piece in pieces(line, FIELD))
        )
    ]
    assert lacking == [], "say on the page what an operator makes of it"
