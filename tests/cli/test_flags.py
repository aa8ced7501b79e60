"""Each option of the table is a flag of ``serve``, as a text that nobody has judged yet."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from dmqcache.cli.flags import with_options
from dmqcache.config.options import OPTIONS, Option


@pytest.fixture
def given() -> dict[str, Any]:
    return {}


@pytest.fixture
def app(given: dict[str, Any]) -> typer.Typer:
    made = typer.Typer(rich_markup_mode=None)

    @made.command()
    @with_options
    def serve(config: str = "none", **flags: Any) -> None:
        given.update(flags, config=config)

    return made


def sample(option: Option) -> str:
    return "no number at all" if option.kind in ("integer", "seconds") else "x"


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_each_option_arrives_as_it_was_written(
    app: typer.Typer, given: dict[str, Any], option: Option
) -> None:
    is_switch = option.kind == "switch"
    ran = CliRunner().invoke(app, [option.flag] if is_switch else [option.flag, sample(option)])
    assert ran.exit_code == 0, ran.output
    wanted = [sample(option)] if option.repeat else is_switch or sample(option)
    assert {name: value for name, value in given.items() if value} == {option.name: wanted, "config": "none"}


def test_what_may_be_repeated_arrives_in_order(app: typer.Typer, given: dict[str, Any]) -> None:
    assert CliRunner().invoke(app, ["--table", "a", "--table", "b"]).exit_code == 0
    assert given["table"] == ["a", "b"]


def test_the_commands_own_flags_stay(app: typer.Typer, given: dict[str, Any]) -> None:
    assert CliRunner().invoke(app, ["--config", "file.toml"]).exit_code == 0
    assert given["config"] == "file.toml"


def test_the_help_has_the_tables_words() -> None:
    def serve(**flags: Any) -> None: ...

    parameters = inspect.signature(with_options(serve)).parameters
    assert list(parameters) == [option.name for option in OPTIONS]
    for option in OPTIONS:
        (info,) = parameters[option.name].annotation.__metadata__
        assert (info.help, info.default) == (option.full_help, option.flag), (
            "typer's first word is its first flag"
        )
        assert (info.metavar is None) if option.kind == "switch" else info.metavar.isupper()
