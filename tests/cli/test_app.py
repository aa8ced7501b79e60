"""How each command ends, whatever becomes of it: codes, lines, streams, and what is loaded for it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import closing

import pytest

from dmqcache.cli import app as cli
from tests.cli.running import Ran, Run, one_line
from tests.server.fakes import FakeNode
from tests.server.serving import serving


def test_the_flag_wins_over_the_environment(on_node: Run) -> None:
    assert on_node("get", "cache", "a", "--node", "127.0.0.1:1").err.startswith(
        "dmqcache: no node answers at 127.0.0.1:1"
    )


def test_a_node_that_is_not_there_is_one_line_and_2(run: Run) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    for command in (["get", "cache", "a"], ["set", "cache", "a", "b"], ["nodes"], ["dump", "cache"]):
        assert f"no node answers at {address}" in one_line(run(*command, "--node", address))


def test_no_summary_of_a_command_is_cut_in_a_terminal_of_80_columns(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERMINAL_WIDTH", "80")
    said = run("--help").out
    assert "broadcast" in said and "..." not in said.partition("Commands:")[2]


def test_a_table_that_is_not_there(on_node: Run) -> None:
    assert one_line(on_node("get", "nope", "a")) == "dmqcache: no table 'nope', the tables are cache, users\n"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["bogus"], "No such command 'bogus'"),
        (["get"], "Missing argument 'TABLE'"),
        (["get", "a", "b", "--nod", "x"], "No such option"),
        (["set", "a", "b", "c", "--ttl", "soon"], "Invalid value for '--ttl'"),
        (["set", "a", "b", "c", "--ttl", "-1"], "Invalid value for '--ttl'"),
        (["set", "a", "b", "c", "--ttl", "nan"], "Invalid value for '--ttl'"),
        (["set", "a", "b", "c", "--ttl", "inf"], "Invalid value for '--ttl'"),
        (["set", "a", "b", "c", "--ttl", "1e308"], "Invalid value for '--ttl'"),
        (["set", "a", "b", "c", "--wait", "1", "--timeout", "nan"], "Invalid value for '--timeout'"),
        (["set", "a", "b", "c", "--wait", "1", "--timeout", "inf"], "Invalid value for '--timeout'"),
        (["delete", "a", "b", "--values"], "--values goes with a pattern"),
        (["keys", "a", "--values"], "--values goes with a pattern"),
        (["serve", "--client-address", ""], "'' is empty; 'off' means nowhere"),
        (["set", "a", "b", "c", "--wait", "0"], "Invalid value for '--wait'"),
        (["get", "a", "b", "--node", "x:y"], "the node's address 'x:y' must end in a port"),
        (["serve", "--t1", "soon"], "--t1: 'soon' is not a number of seconds"),
        (["serve", "--bogus"], "No such option: --bogus"),
        (["--bogus", "get", "a", "b"], "No such option: --bogus; see"),
        (
            ["--node", "x", "get", "a", "b"],
            "--node before the command; it belongs behind it: dmqcache COMMAND",
        ),
        (["--json", "get", "a", "b"], "--json before the command; it belongs behind it: dmqcache COMMAND"),
        (["serve", "--num-workers"], "see 'dmqcache serve --help'"),
        (["get", "--node"], "see 'dmqcache get --help'"),
        (["key", "new", "--bogus"], "No such option: --bogus"),
        (["serve", "--allow", "10.0.0.0/33"], "--allow: '10.0.0.0/33' is no network; write"),
        (["serve", "--allow", "a b"], "--allow: 'a b' is no address, network or host name; write"),
        (["serve", "--config", "/nowhere.toml"], "cannot read the configuration file /nowhere.toml"),
        (["serve", "--table", "a=>b"], "--table: 'a=>b' is no table"),
        (["serve", "--peer", "nothing:There", "--client-address", "off", "--http-address", "off"], "nothing"),
    ],
)
def test_what_is_wrong_is_one_line_and_2(run: Run, args: list[str], said: str) -> None:
    assert said in one_line(run(*args))


def test_help_names_every_option_with_unit_and_default(run: Run) -> None:
    text = " ".join(run("serve", "--help").out.split())
    assert "--server-address SIP-ADDRESS" in text
    assert "(unit: seconds; default: 60)" in text
    assert "DMQCACHE_SERVER_ADDRESS" in text
    assert run("--help") == run()
    assert run().code == 0


def test_the_one_command_that_is_built_knows_no_other(run: Run) -> None:
    assert [one.callback.__name__ for one in cli._only("get").registered_commands if one.callback] == ["get"]
    assert cli._only("--help") is cli.app
    assert "Print the value of a key." in run("get", "-h").out


@pytest.mark.parametrize(
    ("command", "code", "out", "err"),
    [
        ("get cache a >&-", 0, "", ""),
        ("get cache nope >&-", 1, "", ""),
        ("get cache a 2>&-", 0, "hello\n", ""),
        ("get nope a 2>&-", 2, "", ""),
        ("get nope a 2>/dev/full", 2, "", ""),
        ("bogus 2>/dev/full", 2, "", ""),
        ("get cache a 2>/dev/full", 0, "hello\n", ""),
        ("get cache a >/dev/full", 2, "", "dmqcache: No space left on device\n"),
        ("get cache a >/dev/full 2>&1", 2, "", ""),
        ("set cache b x <&- >&- 2>&-", 0, "", ""),
        ("--help >&-", 0, "", ""),
    ],
)
def test_streams_that_are_closed_or_full(node: FakeNode, command: str, code: int, out: str, err: str) -> None:
    node.tables["cache"].set("a", "hello")
    with serving(node) as server:
        ran = subprocess.run(
            ["sh", "-c", f'exec "$0" -m dmqcache {command}', sys.executable],
            env=os.environ | {"DMQCACHE_NODE": "{}:{}".format(*server.address)},
            capture_output=True,
            text=True,
        )
    assert Ran(ran.returncode, ran.stdout, ran.stderr) == Ran(code, out, err)


def test_the_data_commands_load_nothing_of_a_node() -> None:
    code = "import dmqcache.cli.app, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    heavy = {"asyncio", "msgspec", "re2", "sortedcontainers", "starlette", "rich", "json", "tomllib", "ssl"}
    assert not heavy & set(loaded)
    ours = {name for name in loaded if name.startswith("dmqcache.")}
    assert ours == {
        f"dmqcache.{name}"
        for name in (
            "cli",
            "cli.app",
            "cli.arguments",
            "cli.client",
            "cli.commands_bus_key",
            "cli.commands_data",
            "cli.commands_list",
            "cli.commands_process",
            "cli.commands_talk",
            "cli.flags",
            "cli.render",
            "config",
            "config.addresses",
            "config.database_options",
            "config.option",
            "config.options",
            "config.server_options",
            "release",
            "defaults",
        )
    }
