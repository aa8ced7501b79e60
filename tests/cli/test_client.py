"""The blocking client against a real server, and against what is none."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from dmqcache.cli import client as module
from dmqcache.cli.client import Cell, Client, CommandFailed, NodeUnreachable
from tests.server.fakes import FakeNode
from tests.server.serving import serving


@pytest.fixture
def node() -> FakeNode:
    return FakeNode()


@pytest.fixture
def client(node: FakeNode) -> Iterator[Client]:
    with serving(node) as server, Client("{}:{}".format(*server.address)) as connection:
        yield connection


def test_values_keep_their_bytes_their_type_and_their_time(client: Client) -> None:
    client.set("a", "\udcff\0\r\n\t")
    client.set("n", "-5", integer=True)
    client.set("t", "x", ttl=1.5)
    assert client.get("a") == Cell("a", "\udcff\0\r\n\t", None)
    assert client.get("n") == Cell("n", -5, None)
    assert client.get("t") == Cell("t", "x", 1.5)
    assert client.get("nope") is None
    assert client.incr("n", -2) == -7
    assert client.delete(["a", "n", "nope"]) == 2


def test_a_time_of_zero_is_for_ever_where_the_table_has_a_time(client: Client) -> None:
    client.select("users")
    client.set("a", "x")
    client.set("b", "x", ttl=0)
    assert client.get("a") == Cell("a", "x", 60.0)
    assert client.get("b") == Cell("b", "x", None)


def test_cells_are_asked_for_in_steps(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SCAN_CELLS", 3)
    names = [f"k{number}" for number in range(10)]
    for name in [*names, "other"]:
        client.set(name, name)
    assert [cell.key for cell in client.cells()] == [*names, "other"]
    assert [cell.value for cell in client.cells("k")] == names


def test_patterns(client: Client) -> None:
    for name in ("call-1", "call-2", "other"):
        client.set(name, "v" + name[-1])
    assert client.match("prefix", "name", "call") == ["call-1", "call-2"]
    assert client.match("regex", "value", "v[2r]") == ["call-2", "other"]
    assert client.remove("suffix", "name", "1") == 1


def test_reports_and_wait(client: Client, node: FakeNode) -> None:
    assert client.report("tables")[1]["table"] == "users"
    assert client.report("nodes")[0]["local"] is True
    assert client.report("stats")["replication"]["role"] == "master"
    assert client.wait(3, 0.5) == 1
    assert node.waits == [(3, 0.5)]


def test_the_nodes_own_words_for_what_it_refuses(client: Client) -> None:
    with pytest.raises(CommandFailed, match=r"^no table 'nope', the tables are cache, users$"):
        client.select("nope")
    client.set("a", "x")
    with pytest.raises(CommandFailed, match=r"^value is not an integer or out of range$"):
        client.incr("a")


def test_nobody_there_is_one_line_with_the_way_out() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(NodeUnreachable) as caught:
        Client(f"127.0.0.1:{port}")
    assert str(caught.value).startswith(f"no node answers at 127.0.0.1:{port}: connection refused; start one")


def test_an_address_that_is_none() -> None:
    with pytest.raises(NodeUnreachable, match="the node's address ':6380' must be HOST:PORT"):
        Client(":6380")


@pytest.mark.parametrize("address", ["a..b:6380", ".", ".a:6380", "a" * 70, "rediss://a..b:6380"])
def test_a_name_that_no_machine_can_have_is_refused_in_one_line(address: str) -> None:
    with pytest.raises(NodeUnreachable, match=r"the node's address '.*' must have a host"):
        Client(address)


@pytest.mark.parametrize("name", ["CA", "CERTIFICATE", "KEY"])
def test_a_file_of_tls_that_is_not_there_is_named_with_its_variable(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nonsense").write_text("nonsense")
    for one in ("CA", "CERTIFICATE", "KEY"):
        monkeypatch.delenv(f"DMQCACHE_TLS_{one}", raising=False)
    if name == "KEY":
        monkeypatch.setenv("DMQCACHE_TLS_CERTIFICATE", str(tmp_path / "nonsense"))
    for file, said in ("none", "no such file or directory"), ("nonsense", "not .* in PEM"):
        path = tmp_path / file
        monkeypatch.setenv(f"DMQCACHE_TLS_{name}", str(path))
        with pytest.raises(NodeUnreachable, match=f"^DMQCACHE_TLS_.*: {said}") as caught:
            Client("rediss://127.0.0.1:1")
        assert f"DMQCACHE_TLS_{name} {path}" in str(caught.value)


@contextmanager
def saying(answer: bytes | None) -> Iterator[str]:
    """A server that says the same to everybody, or nothing at all."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with closing(connection):
                connection.recv(1000)
                if answer is None:
                    connection.recv(1000)
                else:
                    connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield "{}:{}".format(*listening.getsockname())
        thread.join(10)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "is no dmqcache node"),
        (b"", "stopped answering: it closed the connection"),
        (None, "stopped answering: no answer in time"),
    ],
)
def test_what_is_no_node_is_said_so(answer: bytes | None, said: str) -> None:
    with (
        saying(answer) as address,
        Client(address, timeout=10.0 if answer is not None else 0.2) as client,
        pytest.raises(NodeUnreachable) as caught,
    ):
        client.get("a")
    assert said in str(caught.value)


@pytest.mark.parametrize("address", ["foo://x", "redis://127.0.0.1:6379", "unix:///run/x.sock"])
def test_an_unknown_scheme_is_named_with_those_that_are_known(address: str) -> None:
    scheme = address.partition(":")[0]
    with pytest.raises(
        NodeUnreachable, match=f"'{scheme}' is unknown; the commands know .* rediss://HOST:PORT"
    ):
        Client(address)
