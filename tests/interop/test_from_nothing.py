"""From nothing to a cluster with key, TLS and passwords, by the words of docs/operations.md and nothing else.

Three dmqcache nodes on one machine: so each has its own folder, and an HTTP address of its own.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.interop.daemon import Daemon, wait_until

pytestmark = pytest.mark.interop

ROOT = Path(__file__).resolve().parents[2]
NET = "127.0.44."
HOSTS = [f"{NET}{number}" for number in (11, 12, 13)]


def blocks(language: str) -> list[str]:
    """The blocks of that language in the section, with this test's addresses."""
    text = (ROOT / "docs" / "operations.md").read_text().partition("\n### From nothing to a cluster")[2]
    text = text.partition("\n## ")[0]
    return [
        found.replace("10.0.0.", NET) for found in re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    ]


@pytest.fixture
def commands(tmp_path: Path) -> dict[str, str]:
    """An environment in which ``dmqcache`` is a command."""
    script = tmp_path / "bin" / "dmqcache"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m dmqcache "$@"\n')
    script.chmod(0o755)
    path = f"{script.parent}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}


@pytest.fixture
def nodes(tmp_path: Path, commands: dict[str, str]) -> Iterator[list[Path]]:
    """The nodes' folders, /etc/dmqcache in the text."""
    subprocess.run(
        ["sh", "-ec", blocks("sh")[0]], cwd=tmp_path, env=commands, check=True, capture_output=True
    )
    folders = []
    with ExitStack() as stack:
        for host in HOSTS:
            folder = tmp_path / host
            for name in ("bus.key", "password"):
                (folder / name).write_bytes((tmp_path / name).read_bytes())
            for name in ("bus.key", "password", "key.pem"):
                (folder / name).chmod(0o600)
            written = blocks("toml")[0].replace("/etc/dmqcache", str(folder))
            others = [f"sip:{other}:5061;transport=tls" for other in HOSTS if other != host]
            own = written.replace(f"{NET}11", host)
            own = re.sub("notification_address = .*", f"notification_address = {json.dumps(others)}", own)
            config = folder / "dmqcache.toml"
            config.write_text(f'http_address = "{host}:9180"\n{own}')
            command = [sys.executable, "-m", "dmqcache", "serve", "--config", str(config)]
            daemon = Daemon(f"dmqcache {host}", command, folder / "log", environ={"PYTHONPATH": str(ROOT)})
            stack.callback(daemon.kill)
            folders.append(folder)
        yield folders


def test_by_the_documentations_words(nodes: list[Path], commands: dict[str, str]) -> None:
    look = blocks("sh")[1].replace("/etc/dmqcache", str(nodes[0]))

    def run(command: str) -> str:
        done = subprocess.run(["sh", "-c", command], env=commands, capture_output=True, text=True, timeout=20)
        return done.stdout + done.stderr

    def shown() -> list[list[str]]:
        return [line.split("\t") for line in run(look).splitlines()]

    wait_until(
        lambda: sorted(row[1] for row in shown() if len(row) > 8) == ["active"] * 3,
        60,
        lambda: f"three active nodes: {run(look)} {(nodes[0] / 'log').read_text()[-2000:]}",
    )
    assert [row[9] for row in shown()] == ["yes"] * 3
    password = look.partition("\n")[0]
    run(f"{password}\ndmqcache set --node {HOSTS[0]}:6380 users alice hi")
    get = f"dmqcache get --node {HOSTS[2]}:6380 users alice"
    wait_until(lambda: run(f"{password}\n{get}").strip() == "hi", 20, "the value on another node")
    assert "NOAUTH" in run(get)
