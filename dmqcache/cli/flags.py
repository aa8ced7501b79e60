"""The options of ``options.py`` as flags of ``dmqcache serve``: typer reads them from a signature."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from dmqcache.config.options import OPTIONS, Option

#: What stands for a value in the help.
_METAVARS = {
    "node": "SIP-ADDRESS",
    "node_bytes": "SIP-ADDRESS=BYTES",
    "node_source": "SIP-ADDRESS=IP",
    "host_port": "HOST:PORT",
    "table": "TABLE",
    "integer": "N",
    "seconds": "SECONDS",
    "choice": "WORD",
    "word": "NAME",
    "sources": "ADDRESS",
    "path": "FILE",
    "database": "URL",
    "size": "SIZE",
    "secret": "FILE",
    "channel": "NAME[=TYPE]",
    "key_events": "LETTERS",
}


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command that takes ``**flags`` a flag for each option. Values arrive as texts: ``config.py``
    checks them, whichever source they come from, and says what is wrong in the same words."""
    own = [
        parameter
        for parameter in inspect.signature(command, eval_str=True).parameters.values()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    parameters = [*own, *map(_parameter, OPTIONS)]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in parameters}
    return command


def _parameter(option: Option) -> inspect.Parameter:
    kind: Any = list[str] if option.repeat else bool if option.kind == "switch" else str
    flag = typer.Option(
        option.flag, help=option.full_help, metavar=_METAVARS.get(option.kind), show_default=False
    )
    return inspect.Parameter(
        option.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, flag]
    )
