"""docs/redis-commands.md: which commands of Redis there are and which not, made of the command table.

``python -m tests.server.resp.command_page`` writes it anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from dmqcache.server.resp.command_table import COMMANDS

ROOT: Final = Path(__file__).parents[3]
PAGE: Final = ROOT / "docs" / "redis-commands.md"
HEAD: Final = """\
# Redis commands

Made of the command table (`python -m tests.server.resp.command_page`), beside the commands of Redis 7.0. A
command that is here answers as Redis does; what is different on purpose stands in the
[README](../README.md#redis-clients). One that is absent is an unknown command. dmqcache's
own commands begin with `DMQ.`: `redis-cli -p 6380 COMMAND LIST FILTERBY PATTERN 'dmq.*'`.

"""
#: Why whole groups of Redis are absent.
REASONS: Final[Mapping[str, str]] = {
    "cluster": "every node holds everything",
    "geo": "a cell is a text or an integer",
    "hash": "a cell is a text or an integer",
    "hyperloglog": "a cell is a text or an integer",
    "list": "a cell is a text or an integer",
    "set": "a cell is a text or an integer",
    "sorted-set": "a cell is a text or an integer",
    "stream": "a cell is a text or an integer",
}


def redis_commands() -> dict[str, list[str]]:
    """Group -> names, of a Redis 7.0.15."""
    text = Path(__file__).with_name("redis_commands.txt").read_text("utf-8")
    sections = (section.strip().split("\n") for section in text.split("\n# ")[1:])
    return {name: lines for name, *lines in sections}


def our_commands() -> dict[str, str]:
    """Name -> summary; of a container the subcommands. Not dmqcache's own, which are no business of Redis."""
    found = {}
    for command in COMMANDS.values():
        for one in command.subcommands.values() or [command]:
            if one.name.startswith("DMQ."):
                continue
            found[one.name.replace("|", " ")] = one.summary
    return found


def page() -> str:
    """The whole page."""
    ours, told, parts = our_commands(), set(), [HEAD]
    for group, names in redis_commands().items():
        here = [name for name in names if name in ours]
        absent = [f"`{name}`" for name in names if name not in ours]
        told.update(here)
        parts.append(f"## {group}\n\n")
        if here:
            parts.append(_table({name: ours[name] for name in here}))
        if absent:
            because = f", as {REASONS[group]}" if group in REASONS else ""
            parts.append(f"Absent{because}: {', '.join(absent)}.\n\n")
    parts.append("## Newer than Redis 7.0\n\n")
    parts.append(_table({name: ours[name] for name in sorted(ours.keys() - told)}))
    return "".join(parts).rstrip("\n") + "\n"


def _table(commands: Mapping[str, str]) -> str:
    rows = "".join(f"| `{name}` | {summary} |\n" for name, summary in commands.items())
    return f"| command | |\n| --- | --- |\n{rows}\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
