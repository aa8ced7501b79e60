"""``dmqcache``: the commands put together, and the code and the line with which each of them ends.

What the commands say is in ``commands_*.py``; what they do is in the modules that those import when they run,
so that ``dmqcache get`` loads a socket, hiredis and typer, and nothing of a node. Exit codes: 0 done; 1 the
answer is no (no such key, too few nodes in time); 2 it could not be done, and one line on standard error says
why.
"""

from __future__ import annotations

import copy
import difflib
import re
import sys
from typing import Annotated, Any

import typer

from dmqcache.cli import (
    commands_bus_key,
    commands_data,
    commands_list,
    commands_process,
    commands_talk,
    render,
)
from dmqcache.cli.arguments import FAILED, complain
from dmqcache.cli.client import CommandFailed, NodeUnreachable
from dmqcache.config.options import ConfigError


def _app() -> typer.Typer:
    app = typer.Typer(
        name="dmqcache",
        context_settings={"help_option_names": ["-h", "--help"]},
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    app.callback()(root)
    for entry in (
        *commands_process.COMMANDS,
        *commands_bus_key.COMMANDS,
        *commands_data.COMMANDS,
        *commands_list.COMMANDS,
        *commands_talk.COMMANDS,
    ):
        app.command(context_settings={**entry.settings})(entry.function)
    return app


def _show_version(wanted: bool) -> None:
    if wanted:
        commands_process.version()
        raise typer.Exit


def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """A replicated key-value cache on Kamailio's DMQ bus: every node holds every table."""


app = _app()


def _only(name: str) -> typer.Typer:
    """The app with the one command that is wanted, if it is one: typer builds all that it is given, which
    takes as long as a whole ``get``. ``completion`` needs to know all."""
    if name == "completion":
        return app
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
        complain(str(problem))
        code = FAILED
    except Exception as problem:
        code = _explain(problem, args)
    _finish_streams()
    raise SystemExit(code if isinstance(code, int) else 0)


def _finish_streams() -> None:
    """Python would try once more at its exit to write what could not be written, and end with 120."""
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        try:
            stream.flush()
        except OSError:
            render.abandon(number)


def _belongs_behind(problem: Exception, context: Any) -> str:
    """What to say of an option of the commands that stands before the command."""
    name = getattr(problem, "option_name", None)
    if context is None or context.parent is not None or name is None:
        return ""
    commands = getattr(context.command, "commands", {}).values()
    if not any(name in param.opts for command in commands for param in command.params):
        return ""
    return f"No such option: {name} before the command; it belongs behind it: dmqcache COMMAND ... {name}"


def _path(context: Any, args: list[str]) -> str:
    """The command whose help is wanted. The parser leaves out the context of an option without its value."""
    if context is not None:
        return str(context.command_path)
    known = {one.callback.__name__ for one in app.registered_commands if one.callback}
    return f"dmqcache {args[0]}" if args[0] in known else "dmqcache"


def _suggestion(message: str, context: Any) -> str:
    """What may have been meant by a word that there is not. Where values may begin with a minus sign, a wrong
    flag is only a word too many."""
    known: list[str] = []
    wrong = None
    if context is not None and "unexpected extra argument" in message:
        wrong = re.search(r"(--?[a-z][\w-]*)", message)
        known = [flag for one in context.command.params for flag in one.opts]
    elif "No such command" in message and "Did you mean" not in message:  # typer itself may have said so
        wrong = re.search(r"'([^']*)'", message)
        known = [one.callback.__name__ for one in app.registered_commands if one.callback]
    near = difflib.get_close_matches(wrong[1], known, 1) if wrong else []
    return f", did you mean {near[0]}?" if near else ""


def _explain(problem: Exception, args: list[str]) -> int:
    """Wrong flags, files and addresses in one line. What else comes here is a bug, shown as such."""
    usage = getattr(problem, "format_message", None)
    if usage is not None:
        context = getattr(problem, "ctx", None)
        message = _belongs_behind(problem, context) or usage()
        if message:
            suggestion = _suggestion(message, context)
            complain(f"{message.rstrip('.')}{suggestion}; see '{_path(context, args)} --help'")
        return FAILED
    if isinstance(problem, ConfigError | OSError):
        complain(getattr(problem, "strerror", None) or str(problem))
        return FAILED
    raise problem
