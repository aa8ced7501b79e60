"""The commands that list: keys, dump, and what a node tells of tables, nodes and itself."""

from __future__ import annotations

from typing import Annotated

import typer

from dmqcache.cli import render
from dmqcache.cli.arguments import HERE, Entry, JsonFlag, NodeFlag, TableName, connect, one_pattern
from dmqcache.cli.client import CommandFailed


def keys(
    table: TableName,
    prefix: Annotated[str, typer.Argument(metavar="PREFIX", help="What the keys start with.")] = "",
    regex: Annotated[str, typer.Option(metavar="PATTERN", help="Keys that match.")] = "",
    suffix: Annotated[str, typer.Option(metavar="TEXT", help="Keys that end in it.")] = "",
    contains: Annotated[str, typer.Option(metavar="TEXT", help="Keys that hold it.")] = "",
    values: Annotated[bool, typer.Option("--values", help="Compare values in place of keys.")] = False,
    node: NodeFlag = HERE,
    json: JsonFlag = False,
) -> None:
    """List keys in their order.

    One a line; with --json one JSON string a line.
    """
    mode = render.choose(json)
    pattern = one_pattern(regex=regex, prefix=prefix, suffix=suffix, contains=contains)
    if values and not pattern:
        raise CommandFailed("--values goes with a pattern: PREFIX, --regex, --suffix or --contains")
    with connect(node, table) as client:
        if pattern and (values or pattern[0] != "prefix"):
            found = iter(client.match(pattern[0], "value" if values else "name", pattern[1]))
        else:
            found = (cell.key for cell in client.cells(prefix))
        for key in found:
            if mode == "json":
                render.as_json(key)
            else:
                render.one_line((key,), mode)


def dump(
    table: TableName,
    prefix: Annotated[str, typer.Argument(metavar="PREFIX", help="What the keys start with.")] = "",
    node: NodeFlag = HERE,
    json: JsonFlag = False,
) -> None:
    """List keys, values and times to live.

    For a pipe: key, value and seconds left (empty: for ever) between tabs; with --json an object a line.
    """
    mode = render.choose(json)
    with connect(node, table) as client:
        for key, value, ttl in client.cells(prefix):
            if mode == "json":
                render.as_json({"key": key, "value": value, "ttl": ttl})
            elif mode == "plain":
                render.one_line((key, value, ttl), mode)
            else:
                render.cell(key, value, ttl)


def tables(node: NodeFlag = HERE, json: JsonFlag = False) -> None:
    """List the tables.

    How they are declared and what is in them. For a pipe, between tabs and without a header: table, keys,
    characters, autoexpire, updateexpire, initval, dmqreplicate, hits, misses, expirations.
    """
    with connect(node) as client:
        render.table(client.report("tables"), render.choose(json))


def nodes(node: NodeFlag = HERE, json: JsonFlag = False) -> None:
    """List the nodes of the bus, as the node sees them.

    For a pipe, between tabs and without a header: uri, status, local, software, last seen (s), rtt (ms), in
    sync, backlog, withheld, trouble.
    """
    with connect(node) as client:
        render.table(client.report("nodes"), render.choose(json))


def stats(node: NodeFlag = HERE, json: JsonFlag = False) -> None:
    """Print the node's figures."""
    with connect(node) as client:
        render.sections(client.report("stats"), render.choose(json))


COMMANDS = (Entry(keys), Entry(dump), Entry(tables), Entry(nodes), Entry(stats))
