"""The command that makes the bus's key, and tells which keys a file holds without showing them."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dmqcache.cli import render
from dmqcache.cli.arguments import Entry, complain
from dmqcache.cli.client import CommandFailed


class KeyAction(StrEnum):
    """What is done with a key."""

    NEW = "new"
    NAMES = "names"


def key(
    action: Annotated[KeyAction, typer.Argument(help="new: make one; names: which ones a file holds.")],
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="The key file.")] = None,
) -> None:
    """Make a key for the bus, or name those of a file.

    The file is what --bus-key-file takes. 'key new FILE' writes a new file that only its owner can read;
    without FILE the key is printed. 'key names FILE' prints the name of each key, the signing one first: logs
    speak of keys by these names.
    """
    if action is KeyAction.NEW:
        _new(file)
    elif file is None:
        raise CommandFailed("which file? dmqcache key names FILE")
    else:
        _names(file)


def _new(file: Path | None) -> None:
    from dmqcache.bus.trust.keys import KEY_BYTES, Key, write_key

    secret = os.urandom(KEY_BYTES)
    if file is None:
        render.line(write_key(secret))
        return
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise CommandFailed(f"{file} is there already: a key in use is not overwritten") from None
    except OSError as error:
        raise CommandFailed(f"{file}: {error.strerror or error}") from None
    with os.fdopen(handle, "w", encoding="ascii") as out:
        out.write(write_key(secret) + "\n")
    complain(f"key {Key(secret).name} is in {file}: copy it to every dmqcache node, and to nobody else")


def _names(file: Path) -> None:
    from dmqcache.bus.net.key_file import KeyFile, KeyFileUnusable

    try:
        ring = KeyFile(file).read()
    except KeyFileUnusable as error:
        raise CommandFailed(str(error)) from None
    for one in ring.keys:
        render.line(one.name)


COMMANDS = (Entry(key),)
