"""What several commands take and do alike: a node's address, tables, keys, patterns; the codes that they end
with; the line in which a failure is told."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from dmqcache.cli import render
from dmqcache.cli.client import DEFAULT_ADDRESS, Client, CommandFailed, Login

#: The answer is no: no such key, too few nodes in time. And: it could not be done.
NO = 1
FAILED = 2
#: Longer than any node remembers anything (``store/table/cell.py``), and still a number that sockets take.
CENTURY_S = 100 * 366 * 86_400

#: Where the commands look for a node's unix socket: what systemd's RuntimeDirectory=dmqcache makes.
SOCKET = "/run/dmqcache/client.sock"

NodeFlag = Annotated[
    str,
    typer.Option(
        "--node",
        envvar="DMQCACHE_NODE",
        metavar="HOST[:PORT]",
        help="The node's client address, rediss://HOST:PORT over TLS, or the path of its unix socket. Its "
        "password: DMQCACHE_CLIENT_PASSWORD_FILE, DMQCACHE_CLIENT_USER.",
        show_default=f"{SOCKET}, where that is; else {DEFAULT_ADDRESS}",
    ),
]
#: No ``--node``: the socket on this machine, or the default address.
HERE = ""
JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON.")]
TableName = Annotated[str, typer.Argument(metavar="TABLE", help="The table, by name or number.")]
KeyName = Annotated[str, typer.Argument(metavar="KEY", help="The key.")]


class Entry(NamedTuple):
    """A command as ``app.py`` registers it."""

    function: Callable[..., None]
    settings: Mapping[str, Any] = {}


#: Of commands whose values and increments may begin with a minus sign.
MINUS: Mapping[str, Any] = {"ignore_unknown_options": True}


def number(seconds: float | None) -> float | None:
    """What is not a number lies within any limits."""
    if seconds != seconds:
        raise typer.BadParameter("nan is no number of seconds")
    return seconds


def connect(node: str, table: str | None = None) -> Client:
    client = Client(node or _here(), login=_login())
    if table is not None:
        client.select(table)
    return client


def _here() -> str:
    """The unix socket of a node of this user on this machine, or the default address."""
    path = os.environ.get("DMQCACHE_CLIENT_SOCKET") or SOCKET
    return path if os.access(path, os.R_OK | os.W_OK) else DEFAULT_ADDRESS


def _login() -> Login | None:
    """From the environment, or a file that it names: a flag could be read by everybody on the machine."""
    password = os.environ.get("DMQCACHE_CLIENT_PASSWORD", "")
    if path := os.environ.get("DMQCACHE_CLIENT_PASSWORD_FILE"):
        from dmqcache.config.secrets import Secret

        password = Secret(Path(path), option="DMQCACHE_CLIENT_PASSWORD_FILE").read()
    return Login(os.environ.get("DMQCACHE_CLIENT_USER", ""), password) if password else None


def one_pattern(**patterns: str) -> tuple[str, str] | None:
    given = [(kind, text) for kind, text in patterns.items() if text]
    if len(given) > 1:
        raise CommandFailed("only one pattern at a time")
    return given[0] if given else None


def complain(text: str) -> None:
    line = f"dmqcache: {text}".replace("\n", " ")
    try:
        sys.stderr.buffer.write(line.encode("utf-8", "surrogateescape") + b"\n")
        sys.stderr.flush()
    except OSError:
        render.abandon(2)  # nobody can be told; the exit code still says it
