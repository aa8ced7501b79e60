"""Where the demo puts its nodes, and the demo itself."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from dmqcache.cli import demo
from dmqcache.cli.demo import DemoFailed, Place


def test_each_node_has_its_own_address_and_the_default_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_busy", lambda place: "")
    assert demo.choose() == [Place(f"127.0.0.1{number}", 5060, 6380, 9180) for number in (1, 2, 3)]


def test_each_node_knows_all_others_so_that_each_may_come_back_alone() -> None:
    places = [Place(f"127.0.0.1{number}", 5060, 6380, 9180) for number in (1, 2, 3)]
    for place in places:
        flags = place.flags(places)
        named = [value for flag, value in itertools.pairwise(flags) if flag.startswith("--noti")]
        assert named == [f"sip:{other.host}:{other.sip}" for other in places if other is not place]


def test_ports_in_use_are_named_and_others_taken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "_busy", lambda place: "127.0.0.12:5060 is in use" if place.sip == 5060 else "")
    assert [place.sip for place in demo.choose()] == [15060] * 3
    assert capsys.readouterr().out == "127.0.0.12:5060 is in use; using other ports\n"


def test_one_address_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_busy", lambda place: "" if place.host == "127.0.0.1" else "cannot be had")
    assert [place.client for place in demo.choose()] == [16380, 16381, 16382]


def test_nowhere_to_go_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_busy", lambda place: f"{place.host} is in use")
    with pytest.raises(DemoFailed, match=r"no free addresses for three nodes: 127.0.0.1 is in use"):
        demo.choose()


@pytest.mark.parametrize("taken", ["sip", "client", "http"])
def test_a_taken_port_is_seen(taken: str) -> None:
    with closing(socket.create_server(("127.0.0.93", 0))) as listening:
        port = listening.getsockname()[1]
        ports = {"sip": 25060, "client": 26380, "http": 29180} | {taken: port}
        assert demo._busy(Place("127.0.0.93", **ports)) == f"127.0.0.93:{port} is in use"


def test_the_lines_to_try_name_the_program_so_that_a_shell_finds_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = tmp_path / "my venv" / "bin" / "dmqcache"
    script.parent.mkdir(parents=True)
    script.touch(0o755)
    monkeypatch.setattr(sys, "executable", str(script.with_name("python")))
    monkeypatch.setenv("PATH", "/nowhere")
    assert demo._command() == f"'{script}'"
    monkeypatch.chdir(script.parent.parent)
    assert demo._command() == "bin/dmqcache"
    monkeypatch.setenv("PATH", str(script.parent))
    assert demo._command() == "dmqcache"


@pytest.mark.parametrize("ended_by", [signal.SIGINT, signal.SIGTERM])
def test_the_demo_runs_for_real_and_leaves_nothing_behind(ended_by: signal.Signals) -> None:
    environ = os.environ | {"DMQCACHE_SERVER_ADDRESS": "nonsense", "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "dmqcache", "demo"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environ
    )
    assert process.stdout is not None
    lines: list[str] = []
    try:
        for line in process.stdout:
            lines.append(line)
            if line.startswith("Ctrl-C"):
                break
    finally:
        process.send_signal(ended_by)
        lines += process.stdout.readlines()
        process.stdout.close()
    assert process.wait(30) == 0, "".join(lines)
    text = "".join(lines)
    own = [line for line in lines if not line.startswith("20")]  # the nodes' logs begin with a time
    assert [line for line in own if len(line) > 81] == [], "lines for a terminal of 80 columns"
    assert f"{demo.TABLE}=>autoexpire={demo.AUTOEXPIRE};dmqreplicate=1;" in text
    assert "seen on" in text and "sip:alice@192.0.2.7" in text
    assert text.count("  status: active  ") == 3
    (pid,) = (line.split()[2].rstrip(";") for line in lines if "kill -9" in line)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)
