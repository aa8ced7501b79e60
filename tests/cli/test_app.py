"""The commands as an operator runs them: what they print, and the code that they end with."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from dmqcache.cli import app as cli
from tests.server.fakes import FakeNode
from tests.server.serving import serving


class Ran(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def run(
    capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch, own_process: None
) -> Run:
    """Run one command in this process."""
    for name in list(os.environ):
        if name.startswith("DMQCACHE_"):
            monkeypatch.delenv(name)

    def command(*args: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["dmqcache", *args])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsysbinary.readouterr()
        code = ended.value.code
        assert isinstance(code, int)
        return Ran(code, out.decode("utf-8", "surrogateescape"), err.decode("utf-8", "surrogateescape"))

    return command


@pytest.fixture
def node() -> FakeNode:
    return FakeNode()


@pytest.fixture
def on_node(run: Run, node: FakeNode, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Run commands on a node."""
    with serving(node) as server:
        monkeypatch.setenv("DMQCACHE_NODE", "{}:{}".format(*server.address))
        yield run


def test_set_and_get(on_node: Run) -> None:
    assert on_node("set", "cache", "a", "hello") == Ran(0, "", "")
    assert on_node("get", "cache", "a") == Ran(0, "hello\n", "")
    assert on_node("get", "0", "a").out == "hello\n"
    assert json.loads(on_node("get", "cache", "a", "--json").out) == {
        "key": "a",
        "value": "hello",
        "ttl": None,
    }


def test_a_missing_key_ends_with_1_and_prints_nothing(on_node: Run) -> None:
    assert on_node("get", "cache", "nope") == Ran(1, "", "")
    assert on_node("get", "cache", "nope", "--json") == Ran(1, "", "")


def test_set_with_its_options(on_node: Run, node: FakeNode) -> None:
    on_node("set", "cache", "n", "-5", "--int", "--ttl", "1.5")
    assert node.tables["cache"].get("n") == -5
    assert node.tables["cache"].ttl("n") == 1.5
    assert on_node("set", "cache", "n", "five", "--int").err == (
        "dmqcache: value is not an integer or out of range\n"
    )
    on_node("set", "users", "u", "x", "--ttl", "0")
    assert node.tables["users"].ttl("u") is None


def test_a_value_from_standard_input_keeps_its_bytes(
    on_node: Run, node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a\xff\n")))
    on_node("set", "cache", "a", "-")
    assert node.tables["cache"].get("a") == "a\udcff\n"
    assert on_node("get", "cache", "a").out == "a\udcff\n\n"


def test_set_waits_for_other_nodes(on_node: Run, node: FakeNode) -> None:
    assert on_node("set", "cache", "a", "x", "--wait", "1", "--timeout", "2") == Ran(0, "", "")
    assert node.waits == [(1, 2.0)]
    short = on_node("set", "cache", "a", "x", "--wait", "2", "--timeout", "0.5")
    assert short == Ran(1, "", "dmqcache: set, but only 1 of 2 nodes have it after 0.5 s\n")
    assert json.loads(on_node("set", "cache", "a", "x", "--wait", "1", "--json").out)["nodes"] == 1


def test_delete(on_node: Run) -> None:
    for key in ("a", "b", "call-1", "call-2"):
        on_node("set", "cache", key, f"value of {key}")
    assert on_node("delete", "cache", "a", "nope") == Ran(0, "1\n", "")
    assert on_node("delete", "cache", "a") == Ran(1, "0\n", "")
    assert on_node("delete", "cache", "--regex", "^call-[0-9]$").out == "2\n"
    assert json.loads(on_node("delete", "cache", "--contains", "of b", "--values", "--json").out) == {
        "deleted": 1
    }


def test_delete_wants_keys_or_one_pattern(on_node: Run) -> None:
    assert on_node("delete", "cache").code == 2
    assert on_node("delete", "cache", "a", "--prefix", "b").code == 2
    assert on_node("delete", "cache", "--suffix", "a", "--prefix", "b").err == (
        "dmqcache: only one pattern at a time\n"
    )


def test_incr(on_node: Run) -> None:
    assert on_node("incr", "cache", "n").out == "1\n"
    assert on_node("incr", "cache", "n", "41").out == "42\n"
    assert on_node("incr", "cache", "n", "-2").out == "40\n"
    assert json.loads(on_node("incr", "cache", "n", "--json").out) == {"key": "n", "value": 41}
    assert on_node("incr", "cache", "n", "much").code == 2


def test_keys_and_dump(on_node: Run) -> None:
    for key, value in (("a\t1", "x\ny"), ("a2", "z"), ("b", "x")):
        on_node("set", "cache", key, value)
    on_node("set", "cache", "t", "9", "--int", "--ttl", "5")
    assert on_node("keys", "cache").out == "a\\t1\na2\nb\nt\n"
    assert on_node("keys", "cache", "a").out == "a\\t1\na2\n"
    assert on_node("keys", "cache", "--contains", "x", "--values").out == "a\\t1\nb\n"
    assert on_node("keys", "cache", "b", "--json").out == '"b"\n'
    assert on_node("dump", "cache").out == "a\\t1\tx\\ny\t\na2\tz\t\nb\tx\t\nt\t9\t5.0\n"
    assert json.loads(on_node("dump", "cache", "t", "--json").out) == {"key": "t", "value": 9, "ttl": 5.0}


def test_tables_nodes_and_stats(on_node: Run) -> None:
    assert [row["table"] for row in json.loads(on_node("tables", "--json").out)] == ["cache", "users"]
    assert [row["local"] for row in json.loads(on_node("nodes", "--json").out)] == [True, False]
    assert on_node("nodes").out.startswith("sip:127.0.0.11:5060\tactive\tyes\t")
    assert json.loads(on_node("stats", "--json").out)["replication"]["sync_state"] == "done"
    assert "replication.sync_state\tdone\n" in on_node("stats").out


def test_the_flag_wins_over_the_environment(on_node: Run) -> None:
    assert on_node("get", "cache", "a", "--node", "127.0.0.1:1").err.startswith(
        "dmqcache: no node answers at 127.0.0.1:1"
    )


def one_line(ran: Ran) -> str:
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.startswith("dmqcache: ")
    assert ran.err.count("\n") == 1
    return ran.err


def test_a_node_that_is_not_there_is_one_line_and_2(run: Run) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    for command in (["get", "cache", "a"], ["set", "cache", "a", "b"], ["nodes"], ["dump", "cache"]):
        assert f"no node answers at {address}" in one_line(run(*command, "--node", address))


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
        (["get", "a", "b", "--node", "x"], "the node's address 'x' must be HOST:PORT"),
        (["serve", "--t1", "soon"], "--t1: 'soon' is not a number of seconds"),
        (["serve", "--bogus"], "No such option: --bogus"),
        (["serve", "--config", "/nowhere.toml"], "cannot read the configuration file /nowhere.toml"),
        (["serve", "--table", "a=>b"], "--table: 'a=>b' is no table"),
        (["serve", "--peer", "nothing:There", "--client-address", "off", "--http-address", "off"], "nothing"),
    ],
)
def test_what_is_wrong_is_one_line_and_2(run: Run, args: list[str], said: str) -> None:
    assert said in one_line(run(*args))


def test_an_address_that_is_taken_is_named(run: Run) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        sip = f"sip:127.0.0.91:{free_port('127.0.0.91')}"
        flags = ["--server-address", sip, "--client-address", address, "--http-address", "off"]
        said = one_line(run("serve", *flags, "--log-level", "error"))
    assert said == f"dmqcache: client_address {address}: Address already in use\n"


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


def test_version(run: Run) -> None:
    assert run("version").out.startswith("dmqcache ")
    assert set(json.loads(run("version", "--json").out)) == {"version"}
    assert run("--version") == run("version")


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


def test_ctrl_c_while_the_commands_are_loaded_shows_no_traceback() -> None:
    code = (
        "import os, signal, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'dmqcache.cli.app': os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder())\n"
        "from dmqcache.__main__ import main\n"
        "main()\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (-signal.SIGINT, "")


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
            "cli.client",
            "cli.flags",
            "cli.render",
            "config",
            "config.addresses",
            "config.options",
        )
    }


def test_a_reader_that_has_seen_enough_is_no_error(node: FakeNode) -> None:
    for number in range(20_000):
        node.tables["cache"].set(f"key{number:06}", "x" * 50)
    with serving(node) as server:
        command = [
            sys.executable,
            "-m",
            "dmqcache",
            "dump",
            "cache",
            "--node",
            "{}:{}".format(*server.address),
        ]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout is not None and process.stderr is not None
        try:
            assert process.stdout.readline().startswith(b"key000000\t")
            process.stdout.close()
            assert process.stderr.read() == b""
            assert process.wait(20) == 0
        finally:
            process.kill()
            process.stderr.close()


def free_port(host: str) -> int:
    """A port that is free for SIP now."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_serve_runs_until_it_is_asked_to_stop(tmp_path: Path, stop: signal.Signals) -> None:
    file, address = tmp_path / "node.toml", f"sip:127.0.0.92:{free_port('127.0.0.92')}"
    file.write_text(
        f'server_address = "{address}"\nclient_address = "127.0.0.92:0"\nhttp_address = "off"\n'
        'table = ["one", "two=>autoexpire=5"]\nlog_format = "json"\n'
    )
    command = [sys.executable, "-m", "dmqcache", "serve", "--config", str(file)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        wanted = f"node {address} started: tables one, two"
        assert any(json.loads(line)["message"].startswith(wanted) for line in process.stderr)
        process.send_signal(stop)
        rest = process.stderr.read()
        assert "leaving the bus" in rest
        assert process.wait(20) == 0
        assert "Traceback" not in rest
    finally:
        process.kill()
        process.stderr.close()
