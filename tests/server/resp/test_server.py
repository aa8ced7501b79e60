"""The listening side: its address, its end."""

from __future__ import annotations

import asyncio
import socket
from contextlib import closing

import pytest

from dmqcache.server.resp.server import RespServer
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
