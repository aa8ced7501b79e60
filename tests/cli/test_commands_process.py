"""serve, demo and version."""

from __future__ import annotations

import json
import socket
from contextlib import closing

from tests.cli.running import Run, one_line
from tests.ports import free_port


def test_an_address_that_is_taken_is_named(run: Run) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        sip = f"sip:127.0.0.91:{free_port('127.0.0.91')}"
        flags = ["--server-address", sip, "--client-address", address, "--http-address", "off"]
        said = one_line(run("serve", *flags, "--log-level", "error"))
    assert said == f"dmqcache: client_address {address}: Address already in use\n"


def test_version(run: Run) -> None:
    assert run("version").out.startswith("dmqcache ")
    assert set(json.loads(run("version", "--json").out)) == {"version"}
    assert run("--version") == run("version")
