"""A process that is a node: its signals and its end."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from typing import IO

import pytest

from dmqcache.cli.run_node import clients_of, http_of
from dmqcache.config.config import load
from tests.ports import free_port


def command(tmp_path: Path) -> tuple[list[str], str]:
    """A node to be run, and how its log says that it runs."""
    file, address = tmp_path / "node.toml", f"sip:127.0.0.92:{free_port('127.0.0.92')}"
    file.write_text(
        f'server_address = "{address}"\nclient_address = "127.0.0.92:0"\nhttp_address = "off"\n'
        'table = ["one", "two=>autoexpire=5"]\nlog_format = "json"\n'
    )
    words = [sys.executable, "-m", "dmqcache", "serve", "--config", str(file)]
    return words, f"node {address} started: tables one, two"


@contextmanager
def running(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """A node that has started, without a terminal."""
    words, wanted = command(tmp_path)
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    deadline = Timer(60, process.kill)  # its log ends, and no test waits for a line for ever
    deadline.start()
    try:
        assert any(json.loads(line)["message"].startswith(wanted) for line in process.stderr)
        yield process, process.stderr
    finally:
        deadline.cancel()
        process.kill()
        process.stderr.close()


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_serve_runs_until_it_is_asked_to_stop(tmp_path: Path, stop: signal.Signals) -> None:
    with running(tmp_path) as (process, log):
        process.send_signal(stop)
        rest = log.read()
        assert "leaving the bus" in rest
        assert process.wait(20) == 0
        assert "Traceback" not in rest


def test_without_a_terminal_a_hang_up_has_it_read_its_files_again(tmp_path: Path) -> None:
    with running(tmp_path) as (process, log):
        process.send_signal(signal.SIGHUP)
        assert any("certificates, keys and names are read again" in line for line in log)
        process.send_signal(signal.SIGTERM)
        assert "leaving the bus" in log.read()
        assert process.wait(20) == 0


def test_with_its_terminal_it_goes(tmp_path: Path) -> None:
    words, wanted = command(tmp_path)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(words, stderr=theirs)
    os.close(theirs)
    text = ""
    try:
        while wanted not in text:
            text += os.read(ours, 10_000).decode()
        process.send_signal(signal.SIGHUP)
        assert process.wait(20) == 0
    finally:
        process.kill()
        os.close(ours)


TLS = {"client_tls_certificate": "cert.pem", "client_tls_key": "key.pem"}


@pytest.mark.parametrize(
    ("flags", "clients", "http"),
    [
        ({}, "127.0.0.1:6380", "127.0.0.1:9180"),
        ({"client_address": "off", "http_address": "off"}, "off", "off"),
        ({"client_address": "off", "client_socket": "c.sock"}, "c.sock", "127.0.0.1:9180"),
        (
            {"client_tls_address": "127.0.0.1:6390", "http_tls": True, **TLS},
            "127.0.0.1:6380, 127.0.0.1:6390 (TLS)",
            "127.0.0.1:9180 (HTTPS)",
        ),
    ],
)
def test_the_start_line_names_each_door(flags: dict[str, object], clients: str, http: str) -> None:
    config = load(flags=flags)
    assert (clients_of(config), http_of(config)) == (clients, http)
