"""The commands that need no running node: serve, demo, version."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from dmqcache.cli import render
from dmqcache.cli.arguments import Entry, JsonFlag
from dmqcache.cli.flags import with_options
from dmqcache.release import VERSION


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
    """Run a node until SIGTERM or Ctrl-C.

    Or until its terminal closes. Without any flag: one node on loopback with one table. Each option may also
    stand in the --config file (server_address = "sip:...") and in the environment (DMQCACHE_SERVER_ADDRESS);
    flags win over the environment, that over the file. Lists in the environment are separated by spaces or
    commas. Without a terminal, SIGHUP has the node read keys, passwords and certificates again.
    """
    from dmqcache.cli.run_node import run
    from dmqcache.config import limits, logs
    from dmqcache.config.config import load

    settings = load(config, os.environ, flags)
    logs.setup(settings.log_level, settings.log_format)
    from dmqcache.server.resp.clients import MAX_CLIENTS

    limits.raise_open_files(MAX_CLIENTS)
    run(settings)


def demo() -> None:
    """Run three nodes on loopback.

    A set on the first is seen on the third; they stay until Ctrl-C, with lines to try next.
    """
    from dmqcache.cli.demo import run

    raise typer.Exit(run())


def version(json: JsonFlag = False) -> None:
    """Print the version."""
    if json:
        render.as_json({"version": VERSION})
    else:
        render.line(f"dmqcache {VERSION}")


def completion(
    context: typer.Context,
    shell: Annotated[str, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")],
) -> None:
    """Print a script that completes commands and flags.

    For bash: eval "$(dmqcache completion bash)" in ~/.bashrc; zsh and fish: see the script's first lines.
    """
    from dmqcache.cli.completion import SHELLS, script

    if shell not in SHELLS:
        raise typer.BadParameter(f"{shell!r} is not one of {', '.join(SHELLS)}", param_hint="SHELL")
    commands: Any = context.find_root().command
    words = {
        name: [flag for one in command.params for flag in one.opts if flag.startswith("-")] + ["--help"]
        for name, command in commands.commands.items()
    }
    render.line(script(shell, words).rstrip("\n"))


COMMANDS = (Entry(serve), Entry(demo), Entry(version), Entry(completion))
