"""The commands of ``dmqcache``. What they say is here; what they do is in the modules that they import.

Each command imports what it needs when it runs, so that ``dmqcache get`` loads a socket, hiredis and typer,
and nothing of a node. Exit codes: 0 done; 1 the answer is no (no such key, too few nodes in time); 2 it
could not be done, with one line on standard error that says why.
"""

from __future__ import annotations

import copy
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from dmqcache.cli import render
from dmqcache.cli.client import DEFAULT_ADDRESS, Client, CommandFailed, NodeUnreachable
from dmqcache.cli.flags import with_options
from dmqcache.config.options import ConfigError

NO = 1
FAILED = 2

app = typer.Typer(
    name="dmqcache",
    context_settings={"help_option_names": ["-h", "--help"]},
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

NodeFlag = Annotated[
    str,
    typer.Option("--node", envvar="DMQCACHE_NODE", metavar="HOST:PORT", help="The node's client address."),
]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON.")]
TableName = Annotated[str, typer.Argument(metavar="TABLE", help="The table, by name or number.")]
KeyName = Annotated[str, typer.Argument(metavar="KEY", help="The key.")]
#: Longer than any node remembers anything (``store/table/table.py``), and still a number that sockets take.
_CENTURY_S = 100 * 366 * 86_400
#: Values and increments may begin with a minus sign.
_MINUS = {"ignore_unknown_options": True}


def _number(seconds: float | None) -> float | None:
    """What is not a number lies within any limits."""
    if seconds != seconds:
        raise typer.BadParameter("nan is no number of seconds")
    return seconds


def _show_version(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """A replicated key-value cache on Kamailio's DMQ bus: every node holds every table."""


@app.command()
@with_options
def serve(
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", envvar="DMQCACHE_CONFIG", metavar="FILE", help="Options as TOML, named as the flags."
        ),
    ] = None,
    **flags: Any,
) -> None:
    """Run a node until SIGTERM, SIGHUP or Ctrl-C.

    Without any flag: one node on loopback with one table. Each option may also stand in the --config file
    (server_address = "sip:...") and in the environment (DMQCACHE_SERVER_ADDRESS); flags win over the
    environment, that over the file. Lists in the environment are separated by spaces or commas.
    """
    from dmqcache.config import limits, logs
    from dmqcache.config.config import load

    settings = load(config, os.environ, flags)
    logs.setup(settings.log_level, settings.log_format)
    from dmqcache.cache_node import run
    from dmqcache.server.resp.connection import MAX_CLIENTS

    limits.raise_open_files(MAX_CLIENTS)
    run(settings)


@app.command(context_settings=_MINUS)
def set(  # noqa: A001
    table: TableName,
    key: KeyName,
    value: Annotated[str, typer.Argument(metavar="VALUE", help="'-' reads it from standard input.")],
    ttl: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", min=0, max=_CENTURY_S, callback=_number, help="Time to live; 0: for ever."
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
            max=_CENTURY_S,
            callback=_number,
            help="How long --wait waits; 0: for ever.",
        ),
    ] = 5.0,
    node: NodeFlag = DEFAULT_ADDRESS,
    json: JsonFlag = False,
) -> None:
    """Write a value.

    With --wait: exit 1 if too few nodes have it in time.
    """
    mode = render.choose(json)
    text = sys.stdin.buffer.read().decode("utf-8", "surrogateescape") if value == "-" else value
    with _connect(node, table) as client:
        client.set(key, text, ttl, integer)
        reached = client.wait(wait, timeout) if wait else None
    if mode == "json":
        render.as_json({"table": table, "key": key, "nodes": reached})
    if wait and reached is not None and reached < wait:
        _complain(f"set, but only {reached} of {wait} nodes have it after {timeout:g} s")
        raise typer.Exit(NO)
    render.note("ok" if reached is None else f"ok, acknowledged by other nodes: {reached}", mode)


@app.command()
def get(table: TableName, key: KeyName, node: NodeFlag = DEFAULT_ADDRESS, json: JsonFlag = False) -> None:
    """Print the value of a key.

    Exit 1, and nothing on standard output, if there is no such key.
    """
    with _connect(node, table) as client:
        cell = client.get(key)
    if cell is None:
        raise typer.Exit(NO)
    if json:
        render.as_json(cell._asdict())
    else:
        render.one_value(cell.value, render.choose(json))


@app.command()
def delete(
    table: TableName,
    keys: Annotated[list[str] | None, typer.Argument(metavar="KEY...", help="The keys.")] = None,
    regex: Annotated[str, typer.Option(metavar="PATTERN", help="All keys that match.")] = "",
    prefix: Annotated[str, typer.Option(metavar="TEXT", help="All keys that start with it.")] = "",
    suffix: Annotated[str, typer.Option(metavar="TEXT", help="All keys that end in it.")] = "",
    contains: Annotated[str, typer.Option(metavar="TEXT", help="All keys that hold it.")] = "",
    values: Annotated[bool, typer.Option("--values", help="Compare values in place of keys.")] = False,
    node: NodeFlag = DEFAULT_ADDRESS,
    json: JsonFlag = False,
) -> None:
    """Delete keys and print how many.

    Or all keys that match one pattern. Exit 1 if there were none.
    """
    pattern = _one_pattern(regex=regex, prefix=prefix, suffix=suffix, contains=contains)
    if bool(keys) == bool(pattern):
        raise CommandFailed("name the keys to delete, or one of --regex, --prefix, --suffix, --contains")
    if values and not pattern:
        raise CommandFailed("--values goes with a pattern: --regex, --prefix, --suffix or --contains")
    with _connect(node, table) as client:
        if pattern:
            count = client.remove(pattern[0], "value" if values else "name", pattern[1])
        else:
            count = client.delete(keys or [])
    if json:
        render.as_json({"deleted": count})
    else:
        render.line(str(count))
    raise typer.Exit(0 if count else NO)


@app.command(context_settings=_MINUS)
def incr(
    table: TableName,
    key: KeyName,
    by: Annotated[int, typer.Argument(metavar="BY", help="May be negative.")] = 1,
    node: NodeFlag = DEFAULT_ADDRESS,
    json: JsonFlag = False,
) -> None:
    """Add to a number and print the sum.

    A key that is absent starts at the table's initval, or 0.
    """
    with _connect(node, table) as client:
        total = client.incr(key, by)
    if json:
        render.as_json({"key": key, "value": total})
    else:
        render.line(str(total))


@app.command()
def keys(
    table: TableName,
    prefix: Annotated[str, typer.Argument(metavar="PREFIX", help="What the keys start with.")] = "",
    regex: Annotated[str, typer.Option(metavar="PATTERN", help="Keys that match.")] = "",
    suffix: Annotated[str, typer.Option(metavar="TEXT", help="Keys that end in it.")] = "",
    contains: Annotated[str, typer.Option(metavar="TEXT", help="Keys that hold it.")] = "",
    values: Annotated[bool, typer.Option("--values", help="Compare values in place of keys.")] = False,
    node: NodeFlag = DEFAULT_ADDRESS,
    json: JsonFlag = False,
) -> None:
    """List keys in their order.

    One a line; with --json one JSON string a line.
    """
    mode = render.choose(json)
    pattern = _one_pattern(regex=regex, prefix=prefix, suffix=suffix, contains=contains)
    if values and not pattern:
        raise CommandFailed("--values goes with a pattern: PREFIX, --regex, --suffix or --contains")
    with _connect(node, table) as client:
        if pattern and (values or pattern[0] != "prefix"):
            found = iter(client.match(pattern[0], "value" if values else "name", pattern[1]))
        else:
            found = (cell.key for cell in client.cells(prefix))
        for key in found:
            if mode == "json":
                render.as_json(key)
            else:
                render.one_line((key,), mode)


@app.command()
def dump(
    table: TableName,
    prefix: Annotated[str, typer.Argument(metavar="PREFIX", help="What the keys start with.")] = "",
    node: NodeFlag = DEFAULT_ADDRESS,
    json: JsonFlag = False,
) -> None:
    """List keys, values and times to live.

    For a pipe: key, value and seconds left (empty: for ever) between tabs; with --json an object a line.
    """
    mode = render.choose(json)
    with _connect(node, table) as client:
        for key, value, ttl in client.cells(prefix):
            if mode == "json":
                render.as_json({"key": key, "value": value, "ttl": ttl})
            elif mode == "plain":
                render.one_line((key, value, ttl), mode)
            else:
                render.cell(key, value, ttl)


@app.command()
def tables(node: NodeFlag = DEFAULT_ADDRESS, json: JsonFlag = False) -> None:
    """List the tables.

    How they are declared and what is in them.
    """
    with _connect(node) as client:
        render.table(client.report("tables"), render.choose(json))


@app.command()
def nodes(node: NodeFlag = DEFAULT_ADDRESS, json: JsonFlag = False) -> None:
    """List the nodes of the bus, as the node sees them."""
    with _connect(node) as client:
        render.table(client.report("nodes"), render.choose(json))


@app.command()
def stats(node: NodeFlag = DEFAULT_ADDRESS, json: JsonFlag = False) -> None:
    """Print the node's figures."""
    with _connect(node) as client:
        render.sections(client.report("stats"), render.choose(json))


@app.command()
def demo() -> None:
    """Run three nodes on loopback.

    A set on the first is seen on the third; they stay until Ctrl-C, with lines to try next.
    """
    from dmqcache.cli.demo import run

    raise typer.Exit(run())


@app.command()
def version(json: JsonFlag = False) -> None:
    """Print the version."""
    from importlib.metadata import version as installed

    text = installed("dmqcache")
    if json:
        render.as_json({"version": text})
    else:
        render.line(f"dmqcache {text}")


def _connect(node: str, table: str | None = None) -> Client:
    client = Client(node)
    if table is not None:
        client.select(table)
    return client


def _one_pattern(**patterns: str) -> tuple[str, str] | None:
    given = [(kind, text) for kind, text in patterns.items() if text]
    if len(given) > 1:
        raise CommandFailed("only one pattern at a time")
    return given[0] if given else None


def _complain(text: str) -> None:
    line = f"dmqcache: {text}".replace("\n", " ")
    try:
        sys.stderr.buffer.write(line.encode("utf-8", "surrogateescape") + b"\n")
        sys.stderr.flush()
    except OSError:
        render.abandon(2)  # nobody can be told; the exit code still says it


def _only(name: str) -> typer.Typer:
    """The app with the one command that is wanted, if it is one: typer builds all that it is given, which
    takes as long as a whole ``get``."""
    wanted = [one for one in app.registered_commands if one.callback and one.callback.__name__ == name]
    if not wanted:
        return app
    short = copy.copy(app)
    short.registered_commands = wanted
    return short


def main() -> None:
    """Run one command; every failure that is not a bug is one line on standard error."""
    render.open_streams()
    args = sys.argv[1:] or ["--help"]
    try:
        code = _only(args[0])(args, standalone_mode=False)
        sys.stdout.flush()
    except (BrokenPipeError, render.ReaderGone):
        render.abandon(1)
        code = 0
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except (NodeUnreachable, CommandFailed) as problem:
        _complain(str(problem))
        code = FAILED
    except Exception as problem:
        code = _explain(problem)
    _finish_streams()
    raise SystemExit(code if isinstance(code, int) else 0)


def _finish_streams() -> None:
    """Python would try once more at its exit to write what could not be written, and end with 120."""
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        try:
            stream.flush()
        except OSError:
            render.abandon(number)


def _explain(problem: Exception) -> int:
    """Wrong flags, files and addresses in one line. What else comes here is a bug, shown as such."""
    usage = getattr(problem, "format_message", None)
    if usage is not None:
        context = getattr(problem, "ctx", None)
        path = context.command_path if context is not None else "dmqcache"
        message = usage()
        if message:
            _complain(f"{message.rstrip('.')}; see '{path} --help'")
        return FAILED
    if isinstance(problem, ConfigError | OSError):
        _complain(getattr(problem, "strerror", None) or str(problem))
        return FAILED
    raise problem
