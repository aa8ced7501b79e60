"""A process that is a node: its signals and its end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.running import free_port


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
