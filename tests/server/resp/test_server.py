"""The listening side: its address, its end."""

from __future__ import annotations

import asyncio
import socket
import stat
from contextlib import closing
from pathlib import Path

import pytest

from dmqcache.server.resp.server import Doors, RespServer
from dmqcache.server.resp.users import make_users
from tests.server.fakes import FakeNode
from tests.server.serving import serving


def test_an_address_that_is_taken_is_an_error_in_the_systems_words() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        server = RespServer(FakeNode(), "127.0.0.1", taken.getsockname()[1])
        with pytest.raises(OSError, match=r"^\[Errno 98\] Address already in use$"):
            asyncio.run(server.start())


def test_it_says_where_it_listens_and_who_it_is() -> None:
    with serving(FakeNode(), max_clients=7) as server:
        assert server.address[1] == server.shared.port != 0
        assert len(server.shared.run_id) == 40 and set(server.shared.run_id) <= set("0123456789abcdef")
        assert server.shared.max_clients == 7
    with closing(socket.socket()) as probe:
        assert probe.connect_ex(server.address) != 0


def test_a_server_that_never_started_can_be_closed() -> None:
    asyncio.run(RespServer(FakeNode(), "127.0.0.1", 0).close())


def test_a_unix_socket_beside_the_address(tmp_path: Path) -> None:
    path = tmp_path / "client.sock"
    with serving(FakeNode(), doors=Doors(path=path)) as server:
        with closing(socket.socket(socket.AF_UNIX)) as client:
            client.connect(str(path))
            client.sendall(b"CLIENT INFO\r\n")
            assert f"addr={path}:0 ".encode() in client.recv(1000)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert len(server.shared.sessions) <= 1
    assert not path.exists()


def test_a_socket_that_cannot_be_had_leaves_nothing_open(tmp_path: Path) -> None:
    async def run() -> None:
        server = RespServer(FakeNode(), "127.0.0.1", 0, doors=Doors(path=tmp_path / "none" / "s"))
        with pytest.raises(OSError, match="No such file"):
            await server.start()
        with closing(socket.socket()) as probe:
            assert probe.connect_ex(server.address) != 0

    asyncio.run(run())


def test_users_are_read_again_or_stay_as_they_were(tmp_path: Path) -> None:
    file = tmp_path / "users"
    file.write_text("user default on >one ~* &* +@all")
    doors = Doors(users=lambda: make_users(None, file.read_text()), from_file=True)
    with serving(FakeNode(), doors=doors) as server:
        with closing(socket.create_connection(server.address)) as client:
            client.sendall(b"AUTH one\r\n")
            assert client.recv(100) == b"+OK\r\n"
            file.write_text("nonsense")
            client.sendall(b"ACL LOAD\r\n")
            assert client.recv(100).startswith(b"-ERR line 1: it begins with")
            file.write_text("user default on >two ~* &* +@all")
            client.sendall(b"ACL LOAD\r\n")
            assert client.recv(100) == b""  # whose password is another now is no longer let in
        assert server.shared.users.log_in("default", "two")
