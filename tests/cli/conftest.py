"""A command run in this process, without a node and on one."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

from dmqcache.cli import app as cli
from tests.cli.running import Ran, Run
from tests.server.fakes import FakeNode
from tests.server.serving import serving


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
