"""What an option is: name, kind of value, default, unit, help. The options themselves are ``options.py``'s.

This file imports nothing heavy: the command line reads it before every command.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: What one value of an option is. ``seconds`` is a float; ``node`` a SIP address of a node, ``node_bytes``
#: one and a number of bytes, ``node_source`` one and an IP address; ``host_port`` an address to listen on;
#: ``table`` Kamailio's notation of one table; ``word`` a free text; ``sources`` addresses that may speak;
#: ``path`` a file; ``database`` where one is, as Kamailio writes it; ``secret`` a file that holds one, or the
#: secret itself in the variable without ``_FILE``; ``switch`` is on where it is given; ``channel`` a channel
#: of the bus with a content type; ``size`` bytes
#: as Redis writes them (``100mb``); ``key_events`` Redis' letters for keyspace notifications.
Kind = Literal[
    "node",
    "node_bytes",
    "node_source",
    "host_port",
    "table",
    "word",
    "choice",
    "integer",
    "size",
    "seconds",
    "sources",
    "path",
    "database",
    "secret",
    "switch",
    "channel",
    "key_events",
]

ENVIRONMENT_PREFIX = "DMQCACHE_"


class ConfigError(ValueError):
    """One line: what is wrong, where it was given, what would be right."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option. ``minimum`` and ``maximum`` are inclusive; an empty ``default`` of a repeated option is
    no value at all."""

    name: str
    kind: Kind
    default: str
    help: str
    unit: str = ""
    #: The field of ``Config``, where it is not the name.
    field: str = ""
    repeat: bool = False
    optional: bool = False
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()

    @property
    def attribute(self) -> str:
        """The name of the field of ``Config``."""
        return self.field or self.name

    @property
    def flag(self) -> str:
        """``--server-address``"""
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """``DMQCACHE_SERVER_ADDRESS``"""
        return ENVIRONMENT_PREFIX + self.name.upper()

    @property
    def secret_variable(self) -> str:
        """Of a secret: ``DMQCACHE_CLIENT_PASSWORD``, which holds it itself."""
        return self.variable.removesuffix("_FILE")

    @property
    def full_help(self) -> str:
        """What ``--help`` shows: the meaning, the unit, the default, and whether it may be given again."""
        notes = [f"unit: {self.unit}"] if self.unit else []
        if self.choices:
            notes.append("one of: " + ", ".join(self.choices))
        if self.kind == "secret":
            notes.append(f"or the text itself in {self.secret_variable}")
        notes.append(f"default: {self.default or 'none'}")
        if self.repeat:
            notes.append("may be repeated")
        return f"{self.help} ({'; '.join(notes)})"
