"""The commands that read and write single keys: set, get, delete, incr."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from dmqcache.cli import render
from dmqcache.cli.arguments import (
    CENTURY_S,
    HERE,
    MINUS,
    NO,
    Entry,
    JsonFlag,
    KeyName,
    NodeFlag,
    TableName,
    complain,
    connect,
    number,
    one_pattern,
)
from dmqcache.cli.client import CommandFailed


def set(  # noqa: A001
    table: TableName,
    key: KeyName,
    value: Annotated[str, typer.Argument(metavar="VALUE", help="'-' reads it from standard input.")],
    ttl: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", min=0, max=CENTURY_S, callback=number, help="Time to live; 0: for ever."
        ),
    ] = None,
    integer: Annotated[bool, typer.Option("--int", help="The value is an integer.")] = False,
    wait: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Return once N other nodes have it.")
    ] = None,
    timeout: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            min=0,
            max=CENTURY_S,
            callback=number,
            help="How long --wait waits; 0: for ever.",
        ),
    ] = 5.0,
    node: NodeFlag = HERE,
    json: JsonFlag = False,
) -> None:
    """Write a value.

    With --wait: exit 1 if too few nodes have it in time.
    """
    mode = render.choose(json)
    text = sys.stdin.buffer.read().decode("utf-8", "surrogateescape") if value == "-" else value
    with connect(node, table) as client:
        client.set(key, text, ttl, integer)
        reached = client.wait(wait, timeout) if wait else None
    if mode == "json":
        render.as_json({"table": table, "key": key, "nodes": reached})
    if wait and reached is not None and reached < wait:
        complain(f"set, but only {reached} of {wait} nodes have it after {timeout:g} s")
        raise typer.Exit(NO)
    render.note("ok" if reached is None else f"ok, acknowledged by other nodes: {reached}", mode)


def get(
    table: TableName,
    key: KeyName,
    raw: Annotated[bool, typer.Option("--raw", help="Only the value's bytes, without a line end.")] = False,
    node: NodeFlag = HERE,
    json: JsonFlag = False,
) -> None:
    """Print the value of a key.

    Exit 1, and nothing on standard output, if there is no such key.
    """
    if raw and json:
        raise CommandFailed("--raw and --json exclude each other")
    with connect(node, table) as client:
        cell = client.get(key)
    mode = render.choose(json)
    if cell is None:
        if mode == "people":
            complain(f"no key {key!r} in table {table!r}")
        raise typer.Exit(NO)
    if json:
        render.as_json(cell._asdict())
    elif raw:
        render.raw(cell.value)
    else:
        render.one_value(cell.value, mode)


def delete(
    table: TableName,
    keys: Annotated[list[str] | None, typer.Argument(metavar="KEY...", help="The keys.")] = None,
    regex: Annotated[str, typer.Option(metavar="PATTERN", help="All keys that match.")] = "",
    prefix: Annotated[str, typer.Option(metavar="TEXT", help="All keys that start with it.")] = "",
    suffix: Annotated[str, typer.Option(metavar="TEXT", help="All keys that end in it.")] = "",
    contains: Annotated[str, typer.Option(metavar="TEXT", help="All keys that hold it.")] = "",
    values: Annotated[bool, typer.Option("--values", help="Compare values in place of keys.")] = False,
    node: NodeFlag = HERE,
    json: JsonFlag = False,
) -> None:
    """Delete keys and print how many.

    Or all keys that match one pattern. Exit 1 if there were none.
    """
    pattern = one_pattern(regex=regex, prefix=prefix, suffix=suffix, contains=contains)
    if bool(keys) == bool(pattern):
        raise CommandFailed("name the keys to delete, or one of --regex, --prefix, --suffix, --contains")
    if values and not pattern:
        raise CommandFailed("--values goes with a pattern: --regex, --prefix, --suffix or --contains")
    with connect(node, table) as client:
        if pattern:
            count = client.remove(pattern[0], "value" if values else "name", pattern[1])
        else:
            count = client.delete(keys or [])
    if json:
        render.as_json({"deleted": count})
    else:
        render.line(str(count))
    raise typer.Exit(0 if count else NO)


def incr(
    table: TableName,
    key: KeyName,
    by: Annotated[int, typer.Argument(metavar="BY", help="May be negative.")] = 1,
    node: NodeFlag = HERE,
    json: JsonFlag = False,
) -> None:
    """Add to a number and print the sum.

    A key that is absent starts at the table's initval, or 0.
    """
    with connect(node, table) as client:
        total = client.incr(key, by)
    if json:
        render.as_json({"key": key, "value": total})
    else:
        render.line(str(total))


COMMANDS = (Entry(set, MINUS), Entry(get), Entry(delete), Entry(incr, MINUS))
