"""The commands that list: keys, dump and its reverse, load; what a node tells of tables, nodes and itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dmqcache.cli import render
from dmqcache.cli.arguments import (
    HERE,
    NO,
    Entry,
    JsonFlag,
    NodeFlag,
    TableName,
    complain,
    connect,
    number,
    one_pattern,
)
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
    table: Annotated[
        str,
        typer.Argument(metavar="TABLE", help="The table, by name or number; with --output: none for all."),
    ] = "",
    prefix: Annotated[str, typer.Argument(metavar="PREFIX", help="What the keys start with.")] = "",
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write a backup for 'dmqcache load'; goes on where one was cut off."
        ),
    ] = None,
    node: NodeFlag = HERE,
    json: JsonFlag = False,
) -> None:
    """List keys, values and times to live, or make a backup.

    With --output all of it goes into a file. For a pipe: key, value and seconds left (empty: for ever)
    between tabs; with --json an object a line. The file has JSON lines: table, key, value and, where it has
    one, the Unix time at which the cell is over.
    """
    mode = render.choose(json)
    if output is not None:
        from dmqcache.cli.backup import write_backup

        with connect(node) as client:
            count = write_backup(client, output, [table] if table else None, prefix)
        if mode == "json":
            render.as_json({"cells": count, "file": str(output)})
        else:
            render.note(f"cells written to {output}: {count}", mode)
        return
    if not table:
        raise CommandFailed("name a table, or --output FILE for all of them")
    with connect(node, table) as client:
        for key, value, ttl in client.cells(prefix):
            if mode == "json":
                render.as_json({"key": key, "value": value, "ttl": ttl})
            elif mode == "plain":
                render.one_line((key, value, ttl), mode)
            else:
                render.cell(key, value, ttl)


def load(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A backup, or a Redis' dump.rdb.")],
    table: Annotated[str, typer.Option(metavar="TABLE", help="Only the cells of this table.")] = "",
    into: Annotated[str, typer.Option(metavar="TABLE", help="Into this table, whatever theirs was.")] = "",
    missing: Annotated[bool, typer.Option("--missing", help="Leave alone what keys there are.")] = False,
    wait: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Return once N other nodes have it.")
    ] = None,
    timeout: Annotated[
        float,
        typer.Option(metavar="SECONDS", min=0, callback=number, help="How long --wait waits; 0: for ever."),
    ] = 60.0,
    node: NodeFlag = HERE,
    json: JsonFlag = False,
) -> None:
    """Write the cells of a backup into the tables of a node.

    It may be one of the same cluster or of another. Of a Redis' dump.rdb the strings are taken, with --table
    as the number of its database and --into. Each is a write of now: it replaces what the key holds.
    What is over meanwhile is left out. Cut off, the same command goes on where it was; with another file or
    other options it begins anew. Exit 1 if cells were refused, none was of the table asked for, or too few
    nodes have it in time.
    """
    from dmqcache.cli.backup import Restore

    mode = render.choose(json)
    with connect(node) as client:
        restore = Restore(client, file, only=table, into=into, missing=missing)
        restore.run()
        reached = client.wait(wait, timeout) if wait else None
    if restore.resumed:
        complain(restore.begin_anew())
    for line in restore.refused:
        complain(line)
    if mode == "json":
        render.as_json(restore.report() | {"nodes": reached})
    else:
        render.note(", ".join(f"{count} {what}" for what, count in restore.report().items()), mode)
    if wait and reached is not None and reached < wait:
        complain(f"loaded, but only {reached} of {wait} nodes have it after {timeout:g} s")
    if restore.refused or (wait and reached is not None and reached < wait):
        raise typer.Exit(NO)


def tables(node: NodeFlag = HERE, json: JsonFlag = False) -> None:
    """List the tables.

    How they are declared and what is in them. For a pipe, between tabs and without a header: table, keys,
    bytes, autoexpire, updateexpire, initval, dmqreplicate, hits, misses, expirations.
    """
    with connect(node) as client:
        render.table(client.report("tables"), render.choose(json))


def nodes(node: NodeFlag = HERE, json: JsonFlag = False) -> None:
    """List the nodes of the bus, as the node sees them.

    For a pipe, between tabs and without a header: uri, status, local, software, last seen (s), rtt (ms), in
    sync, backlog, withheld, key, trouble.
    """
    with connect(node) as client:
        render.table(client.report("nodes"), render.choose(json))


def stats(node: NodeFlag = HERE, json: JsonFlag = False) -> None:
    """Print the node's figures."""
    with connect(node) as client:
        render.sections(client.report("stats"), render.choose(json))


def calls(
    text: Annotated[
        str, typer.Argument(metavar="TEXT", help="Those with it in their Call-ID, From or To.")
    ] = "",
    node: NodeFlag = HERE,
    json: JsonFlag = False,
) -> None:
    """List the calls of the Kamailio nodes.

    As a node with --peer dialog knows them. For a pipe, between tabs and without a header: Call-ID, state,
    from, to, age (seconds since it was answered, or else began), profiles. With --json an object a line, with
    all that was told. Exit 1 if TEXT is given and there is none.
    """
    _records(node, "calls", text, json, ("call_id", "state", "from", "to", "age_s", "profiles"))


def contacts(
    aor: Annotated[str, typer.Argument(metavar="AOR", help="Those of one address of record, as alice.")] = "",
    node: NodeFlag = HERE,
    json: JsonFlag = False,
) -> None:
    """List the contacts of the registrars.

    As a node with --peer usrloc knows them. For a pipe, between tabs and without a header: AoR, contact,
    seconds until it expires, user agent, the node that told it. With --json an object a line, with all that
    was told. Exit 1 if AOR is given and has none.
    """
    _records(node, "contacts", aor, json, ("aor", "contact", "expires_s", "user_agent", "node"))


def presentities(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="Those with it in their URI.")] = "",
    node: NodeFlag = HERE,
    json: JsonFlag = False,
) -> None:
    """List what is published on the Kamailio nodes.

    As a node with --peer presence knows it. For a pipe, between tabs and without a header: presentity, event,
    entity tag, seconds until it expires. With --json an object a line, with the document and all that was
    told. Exit 1 if TEXT is given and there is none.
    """
    _records(node, "presentities", text, json, ("presentity", "event", "etag", "expires_s"))


def watchers(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="Those with it in either URI.")] = "",
    node: NodeFlag = HERE,
    json: JsonFlag = False,
) -> None:
    """List who watches what is published there.

    These are the subscriptions that Kamailio 6.1 tells. For a pipe, between tabs and without a header:
    watcher, presentity, event, status, seconds until it expires. With --json an object a line, with all that
    was told. Exit 1 if TEXT is given and there is none.
    """
    _records(node, "watchers", text, json, ("watcher", "presentity", "event", "status", "expires_s"))


def _records(node: str, what: str, text: str, as_json: bool, columns: tuple[str, ...]) -> None:
    mode = render.choose(as_json)
    with connect(node) as client:
        rows = client.records(what, text)
    if text and not rows:
        if mode == "people":
            complain(f"no {what} of {text!r}")
        raise typer.Exit(NO)
    if mode == "json":
        for row in rows:
            render.as_json(row)
        return
    cells = [{name: _joined(row[name]) for name in columns} for row in rows]
    render.table(cells, mode)
    if not cells:
        render.note("none", mode)


def _joined(value: Any) -> Any:
    return ", ".join(value) if isinstance(value, list) else value


COMMANDS = (
    *(Entry(keys), Entry(dump), Entry(load), Entry(tables), Entry(nodes), Entry(stats)),
    *(Entry(calls), Entry(contacts), Entry(presentities), Entry(watchers)),
)
