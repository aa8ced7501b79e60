"""The listening side: its address, its end."""

from __future__ import annotations

import asyncio
import socket
import stat
from collections.abc import Coroutine
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from dmqcache.server.resp.acl import STEP_RULES
from dmqcache.server.resp.server import ENDED_AT_ONCE, Doors, RespServer
from dmqcache.server.resp.users import making_users
from tests.server.fakes import FakeNode, make_session
from tests.server.resp.saying import say
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
    doors = Doors(users=lambda: making_users(None, file.read_text()), from_file=True)
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


def test_others_are_served_while_many_users_are_read_and_all_of_them_count_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dmqcache.bus.loop_steps.STEP_S", 0.0)
    text = ["user default on nopass ~* &* +@all"]
    text += [
        f"user u{number} on nopass {' '.join(f'~a{rule}*' for rule in range(50))}" for number in range(100)
    ]
    server = RespServer(FakeNode(), None, 0, doors=Doors(lambda: making_users(None, "\n".join(text)), True))
    one, other = make_session(), make_session()
    one.shared.load_users = server.shared.load_users
    answer = server.shared.execute(one, ["ACL", "LOAD"])
    assert isinstance(answer, Coroutine)
    turns = 0
    with pytest.raises(StopIteration) as end:
        while True:
            answer.send(None)
            assert say(other, "PING") == "PONG"
            assert list(server.shared.users.by_name) == ["default"]
            turns += 1
    assert end.value.value == b"+OK\r\n"
    assert turns > 100 * 50 // STEP_RULES
    assert len(server.shared.users.by_name) == 101


def test_what_was_read_later_counts_whoever_is_done_first() -> None:
    texts = iter(["user default on nopass ~* +@all\nuser a on", "user default on nopass ~* +@all"])
    server = RespServer(FakeNode(), None, 0, doors=Doors(lambda: making_users(None, next(texts)), True))
    assert server.shared.load_users is not None
    first, second = server.shared.load_users(), server.shared.load_users()
    next(first)
    for loading in (second, first):
        for _ in loading:
            assert "a" not in server.shared.users.by_name
    assert list(server.shared.users.by_name) == ["default"]


def test_of_many_users_that_are_gone_the_connections_are_closed_some_in_each_turn() -> None:
    texts = iter(
        ["user default on nopass ~* +@all\nuser old on nopass +@all", "user default on nopass ~* +@all"]
    )
    doors = Doors(users=lambda: making_users(None, next(texts)), from_file=True)
    with serving(FakeNode(), doors=doors) as server, ExitStack() as stack:
        clients = [
            stack.enter_context(closing(socket.create_connection(server.address)))
            for _ in range(ENDED_AT_ONCE + 10)
        ]
        for client in clients:
            client.sendall(b"AUTH old x\r\n")
            assert client.recv(100) == b"+OK\r\n"
        clients[0].sendall(b"ACL LOAD\r\n")
        assert [client.recv(100) for client in clients] == [b""] * len(clients)
