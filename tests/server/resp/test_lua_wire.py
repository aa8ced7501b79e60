"""Lists of bytes over a socket, whole however they arrive."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from dmqcache.server.resp.lua_wire import Ended, Wire


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, Wire]]:
    one, other = socket.socketpair()
    with one, other:
        yield one, Wire(other)


def test_lists_of_any_bytes_come_as_they_were_sent() -> None:
    one, other = socket.socketpair()
    with one, other:
        lists = [[b"a"], [b"", b"\r\n$3\xff\0", b"x" * 1000]]
        for each in lists:
            Wire(one).send(*each)
        wire = Wire(other)
        assert [wire.receive(30), wire.receive(30)] == lists


def test_half_a_list_is_waited_for_and_no_longer_than_is_said(pair: tuple[socket.socket, Wire]) -> None:
    raw, wire = pair
    raw.sendall(b"*1\r\n$3\r\na")
    with pytest.raises(TimeoutError):
        wire.receive(0.01)
    raw.sendall(b"bc\r\n")
    assert wire.receive(30) == [b"abc"]


def test_who_takes_nothing_is_not_waited_for_for_ever(pair: tuple[socket.socket, Wire]) -> None:
    with pytest.raises(TimeoutError):
        pair[1].send(b"x" * (32 << 20), seconds=0.05)


@pytest.mark.parametrize("said", [b"", b"nonsense\r\n", b":1\r\n", b"*1\r\n*1\r\n:1\r\n"])
def test_an_end_and_what_is_no_list_of_bytes_are_the_end(
    pair: tuple[socket.socket, Wire], said: bytes
) -> None:
    raw, wire = pair
    raw.sendall(said)
    raw.shutdown(socket.SHUT_WR)
    with pytest.raises(Ended):
        wire.receive(30)


def test_after_the_end_nothing_is_said(pair: tuple[socket.socket, Wire]) -> None:
    raw, wire = pair
    raw.close()
    with pytest.raises(Ended):
        wire.send(b"x")
    wire.close()
    for use in (lambda: wire.send(b"x"), wire.receive):
        with pytest.raises(Ended):
            use()
