"""What the process of scripts answers to its node's orders; it is run in a thread here."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from dmqcache.server.resp import lua_sandbox
from dmqcache.server.resp.lua_wire import Wire
from dmqcache.server.resp.lua_worker import LuaWorker


@pytest.fixture
def node() -> Iterator[Wire]:
    ours, theirs = socket.socketpair()
    wire = Wire(ours)
    thread = threading.Thread(target=lambda: LuaWorker(Wire(theirs)).work())
    thread.start()
    yield wire
    wire.close()
    thread.join(10)
    assert not thread.is_alive(), "it ends when its node is gone"
    theirs.close()


def load(node: Wire, code: bytes) -> list[bytes]:
    node.send(b"load", b"name", code)
    return node.receive(30)


def test_a_script_is_loaded_and_run_again_and_again(node: Wire) -> None:
    assert load(node, b"return {KEYS[1], ARGV[2]}") == [b"loaded"]
    for key in (b"\0\r\n", b"\xff"):
        node.send(b"run", b"name", b"1", key, b"a", b"b")
        assert node.receive(30) == [b"done", b"*2\r\n$%d\r\n%b\r\n$1\r\nb\r\n" % (len(key), key)]


def test_a_call_is_the_nodes(node: Wire) -> None:
    load(node, b"return {redis.call('GET', 1.5), redis.pcall('X').err, redis.call('S')}")
    node.send(b"run", b"name", b"0")
    for asked, reply in (
        ([b"GET", b"1.5"], b"$-1\r\n"),
        ([b"X"], b"-ERR no\r\n"),
        ([b"S"], b"+OK\r\n"),
    ):
        assert node.receive(30) == [b"call", *asked]
        node.send(reply)
    assert node.receive(30) == [b"done", b"*3\r\n$-1\r\n$6\r\nERR no\r\n+OK\r\n"]


def test_what_is_no_command_is_not_asked(node: Wire) -> None:
    load(node, b"return {redis.pcall({}).err, redis.pcall(true).err, redis.pcall().err}")
    node.send(b"run", b"name", b"0")
    done, reply = node.receive(30)
    assert done == b"done" and reply.count(b"must be strings or integers") == 2
    assert b"ERR Please specify at least one argument for this redis lib call\r\n" in reply


def test_what_is_wrong_with_a_script_is_said(node: Wire) -> None:
    wrong, words = load(node, b"return (")
    assert wrong == b"wrong" and words.startswith(b"ERR Error compiling script")
    load(node, b"local t = {} for i = 1, 2e5 do t[i] = i end return t")
    node.send(b"run", b"name", b"0")
    assert node.receive(30)[0] == b"wrong"  # Its reply is too large.


def test_one_that_filled_its_memory_is_worn_only_if_it_stays_full(
    node: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(node, b"local s = string.rep('x', 4e6) return #(s .. s .. s)")
    node.send(b"run", b"name", b"0")
    assert node.receive(30) == [b"done", b":12000000\r\n"]
    monkeypatch.setattr(lua_sandbox, "MAX_MEMORY", 4096)
    node.send(b"run", b"name", b"0")
    assert node.receive(30)[0] == b"worn"


def test_a_script_that_is_forgotten_is_not_known(node: Wire) -> None:
    load(node, b"return 1")
    node.send(b"forget", b"name")
    assert load(node, b"return 2") == [b"loaded"]
    node.send(b"run", b"name", b"0")
    assert node.receive(30) == [b"done", b":2\r\n"]
