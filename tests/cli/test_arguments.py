"""What the commands share: one pattern at most, numbers that are numbers, and failures in one line."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from dmqcache.cli.arguments import CENTURY_S, HERE, complain, connect, number, one_pattern
from dmqcache.cli.client import Cell, CommandFailed, NodeUnreachable
from dmqcache.server.resp.server import Doors
from dmqcache.server.resp.users import making_users
from dmqcache.store.table.cell import MAX_TTL_S
from tests.ports import free_port
from tests.server.fakes import FakeNode
from tests.server.serving import serving


def test_no_pattern_or_one() -> None:
    assert one_pattern(regex="", prefix="") is None
    assert one_pattern(regex="", prefix="a") == ("prefix", "a")
    with pytest.raises(CommandFailed, match="only one pattern at a time"):
        one_pattern(regex="x", prefix="a")


def test_what_is_no_number_is_refused_and_numbers_pass() -> None:
    assert number(None) is None
    assert number(1.5) == 1.5
    assert number(math.inf) == math.inf, "the limits see to it"
    with pytest.raises(typer.BadParameter, match="nan is no number of seconds"):
        number(math.nan)


def test_the_longest_time_is_one_that_a_table_takes() -> None:
    assert CENTURY_S <= MAX_TTL_S


def test_a_connection_selects_its_table() -> None:
    node = FakeNode()
    node.tables["users"].set("alice", "x")
    with serving(node) as server:
        address = "{}:{}".format(*server.address)
        with connect(address, "users") as client:
            assert client.get("alice") == Cell("alice", "x", 60.0)
        with connect(address) as client:
            assert client.get("alice") is None, "the first table"
        with pytest.raises(CommandFailed, match="no table 'nope'"):
            connect(address, "nope")


def test_nobody_there() -> None:
    address = f"127.0.0.1:{free_port('127.0.0.1', 'tcp')}"
    with pytest.raises(NodeUnreachable, match=f"no node answers at {address}"):
        connect(address, "users")


def test_a_failure_is_one_line_of_any_bytes(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    complain("two\nlines and \udcff")
    assert capsysbinary.readouterr().err == b"dmqcache: two lines and \xff\n"


def test_a_failure_that_nobody_can_be_told_is_no_other_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        buffer = None

        def __init__(self) -> None:
            self.buffer = self

        def write(self, data: bytes) -> None:
            raise OSError(28, "No space left on device")

    left: list[int] = []
    monkeypatch.setattr(sys, "stderr", Full())
    monkeypatch.setattr("dmqcache.cli.render.abandon", left.append)
    complain("x")
    assert left == [2]


@pytest.fixture
def secured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """The address of a node with a password and a user; the environment says nothing of them yet."""
    for name in ("DMQCACHE_CLIENT_PASSWORD", "DMQCACHE_CLIENT_PASSWORD_FILE", "DMQCACHE_CLIENT_USER"):
        monkeypatch.delenv(name, raising=False)
    doors = Doors(users=lambda: making_users("secret", "user app on >app ~call-* +@all"), path=tmp_path / "s")
    with serving(FakeNode(), doors=doors) as server:
        yield "{}:{}".format(*server.address)


def test_the_password_comes_from_a_file_or_the_environment(
    secured: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(CommandFailed, match=r"NOAUTH .* DMQCACHE_CLIENT_PASSWORD_FILE"):
        connect(secured, "cache")
    monkeypatch.setenv("DMQCACHE_CLIENT_PASSWORD", "secret")
    connect(secured, "cache").close()
    (tmp_path / "password").write_text("app\n")
    monkeypatch.setenv("DMQCACHE_CLIENT_PASSWORD_FILE", str(tmp_path / "password"))
    with pytest.raises(CommandFailed, match="WRONGPASS"):
        connect(secured, "cache")
    monkeypatch.setenv("DMQCACHE_CLIENT_USER", "app")
    with connect(secured, "cache") as client:
        client.set("call-1", "x")
        with pytest.raises(CommandFailed, match="NOPERM"):
            client.set("other", "x")


def test_a_password_for_a_node_without_one_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DMQCACHE_CLIENT_PASSWORD", "secret")
    with serving(FakeNode()) as server:
        connect("{}:{}".format(*server.address), "cache").close()


def test_the_socket_on_this_machine_is_preferred_where_no_node_is_named(
    secured: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DMQCACHE_CLIENT_PASSWORD", "secret")
    monkeypatch.setenv("DMQCACHE_CLIENT_SOCKET", str(tmp_path / "s"))
    for named in (HERE, str(tmp_path / "s")):
        with connect(named, "cache") as client:
            assert client.address == str(tmp_path / "s")
            client.set("a", "1")
    with connect(secured, "cache") as client:
        assert str(client.address) == secured
    monkeypatch.setenv("DMQCACHE_CLIENT_SOCKET", str(tmp_path / "none"))
    with pytest.raises(NodeUnreachable, match=r"127\.0\.0\.1:6380"):
        connect(HERE)
