"""Connections: order, limits, slow readers, WAIT, and a real Redis client."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest
import redis

from dmqcache.server.resp import connection as resp
from dmqcache.server.resp.clients import READ_BYTES
from dmqcache.server.resp.info import sections
from dmqcache.server.resp.long_reply import PART_BYTES
from dmqcache.server.resp.server import Doors, RespServer
from dmqcache.server.resp.users import making_users
from tests.server.fakes import FakeNode
from tests.server.serving import serving
from tests.waiting import DEADLINE_S, wait_until


@contextmanager
def connected(server: RespServer) -> Iterator[socket.socket]:
    with closing(socket.create_connection(server.address, DEADLINE_S)) as connection:
        yield connection


def read(connection: socket.socket, size: int) -> bytes:
    """Exactly ``size`` bytes, or what came before the end."""
    data = b""
    while len(data) < size and (more := connection.recv(size - len(data))):
        data += more
    return data


@pytest.fixture
def node() -> FakeNode:
    return FakeNode()


def test_a_pipeline_is_answered_in_order(node: FakeNode) -> None:
    with serving(node) as server, connected(server) as connection:
        connection.sendall(b"SET a 1\r\nGET a\r\n*1\r\n$4\r\nPING\r\nBOGUS\r\nDEL a\r\n")
        expected = (
            b"+OK\r\n$1\r\n1\r\n+PONG\r\n-ERR unknown command 'BOGUS', with args beginning with: \r\n:1\r\n"
        )
        assert read(connection, len(expected)) == expected
        assert server.counters.commands == 5
        assert server.counters.bytes_out == len(expected)


def test_a_long_pipeline_is_answered_whole(node: FakeNode) -> None:
    count = 5_000
    with serving(node) as server, connected(server) as connection:
        connection.sendall(b"*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n" * count)
        expected = b"".join(b":%d\r\n" % number for number in range(1, count + 1))
        assert read(connection, len(expected)) == expected


def test_what_comes_at_once_is_taken_in_reads_between_which_others_have_their_turns(
    node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []

    class Noting(resp.Connection):
        def buffer_updated(self, nbytes: int) -> None:
            taken.append(nbytes)
            super().buffer_updated(nbytes)

    monkeypatch.setattr("dmqcache.server.resp.server.Connection", Noting)
    with serving(node) as server, connected(server) as connection:
        connection.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$200000\r\n" + b"x" * 200_000 + b"\r\nGET b\r\n")
        assert read(connection, 10) == b"+OK\r\n$-1\r\n"
        assert len(taken) > 200_000 // READ_BYTES and max(taken) <= READ_BYTES
        assert node.tables["cache"]["a"] == "x" * 200_000


def test_bytes_that_are_no_command_end_the_connection_after_what_came_before(node: FakeNode) -> None:
    with serving(node) as server, connected(server) as connection:
        connection.sendall(b"SET a 1\r\n*1\r\n+x\r\n")
        assert read(connection, 1000) == b"+OK\r\n-ERR Protocol error: expected '$', got '+'\r\n"
        assert server.counters.refused["protocol_error"] == 1
        assert node.tables["cache"].get("a") == "1"


@pytest.mark.parametrize(
    "request_",
    [b"POST / HTTP/1.1\r\n", b"GET /\r\nhoSt: here\r\n", b"*1\r\n$4\r\npost\r\n", b"MULTI\r\nPOST /\r\n"],
)
def test_a_browsers_request_ends_the_connection_and_nothing_of_its_body_is_run(
    node: FakeNode, request_: bytes
) -> None:
    with serving(node) as server, connected(server) as connection:
        connection.sendall(request_ + b"\r\nSET a 1\r\nINFO\r\n")
        assert b"redis_version" not in read(connection, 1000)
        wait_until(lambda: server.clients == 0)
        assert server.counters.refused["http"] == 1
        assert node.tables["cache"].get("a") is None
    assert sections(server.shared)["Stats"]["rejected_http_requests"] == 1


def test_an_empty_command_in_a_pipeline_is_nothing(node: FakeNode) -> None:
    with serving(node) as server, connected(server) as connection:
        ping = b"*1\r\n$4\r\nPING\r\n"
        connection.sendall(ping + b"*0\r\n*-1\r\n" + ping * 2)
        assert read(connection, 21) == b"+PONG\r\n" * 3


def test_arguments_of_a_command_that_is_not_there_yet_are_counted(
    node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resp, "MAX_REQUEST_BYTES", 60_000)
    with serving(node) as server, connected(server) as connection:
        connection.sendall(b"*1000000\r\n" + b"$2\r\nab\r\n" * 1000)
        assert read(connection, 1000) == b"-ERR Protocol error: too big request\r\n"
        assert server.counters.refused["request_too_large"] == 1


def test_quit_answers_and_closes_and_nothing_behind_it_is_run(node: FakeNode) -> None:
    with serving(node) as server, connected(server) as connection:
        connection.sendall(b"QUIT\r\nSET a 1\r\n")
        assert read(connection, 1000) == b"+OK\r\n"
        wait_until(lambda: server.clients == 0)
        assert "a" not in node.tables["cache"]


def test_one_client_too_many_is_told_so(node: FakeNode) -> None:
    with serving(node, max_clients=1) as server, connected(server) as first:
        first.sendall(b"PING\r\n")
        assert read(first, 7) == b"+PONG\r\n"
        with connected(server) as second:
            assert read(second, 1000) == b"-ERR max number of clients reached\r\n"
        assert server.counters.refused["max_clients"] == 1
        first.sendall(b"CLIENT LIST\r\nPING\r\n")
        assert read(first, 1) == b"$"
    with serving(node, max_clients=1) as server:
        with connected(server):
            wait_until(lambda: server.clients == 1)
        wait_until(lambda: server.clients == 0)
        with connected(server) as connection:
            connection.sendall(b"PING\r\n")
            assert read(connection, 7) == b"+PONG\r\n"


def test_a_command_without_end_is_cut_off(node: FakeNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resp, "MAX_REQUEST_BYTES", 100_000)
    with serving(node) as server, connected(server) as connection:
        connection.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$200000\r\n" + b"x" * 100_001)
        assert read(connection, 1000) == b"-ERR Protocol error: too big request\r\n"
        assert server.counters.refused["request_too_large"] == 1


def test_a_client_that_does_not_read_is_not_served_without_bound(node: FakeNode) -> None:
    value = "v" * 100_000
    node.tables["cache"].set("a", value)
    count = 500
    with serving(node) as server, connected(server) as connection:
        connection.sendall(b"GET a\r\n" * count + b"PING\r\n")
        # What is not taken stays undone: far less than the 50 MB that were asked for are made.
        wait_until(lambda: server.counters.commands > 0)
        with connected(server) as other:
            wait_until(lambda: _settled(lambda: server.counters.bytes_out, other, 7), poll=0)
        assert server.counters.commands < count // 2
        one = b"$100000\r\n" + value.encode() + b"\r\n"
        for _ in range(count):
            assert read(connection, len(one)) == one
        assert read(connection, 7) == b"+PONG\r\n"


def _settled(figure: Callable[[], int], other: socket.socket, each: int) -> bool:
    """Whether a figure grows by nothing but what another client adds, who is answered again and again."""
    before = figure()
    for _ in range(50):
        other.sendall(b"PING\r\n")
        assert read(other, 7) == b"+PONG\r\n"
    return figure() == before + 50 * each


def test_a_node_with_too_much_to_tell_reads_no_more_until_it_has(node: FakeNode) -> None:
    node.is_congested = True
    with serving(node) as server, connected(server) as connection:
        connection.sendall(b"INCR a\r\n" * 1000)
        wait_until(lambda: server.counters.commands == resp.SLICE_COMMANDS)
        first = b"".join(b":%d\r\n" % number for number in range(1, resp.SLICE_COMMANDS + 1))
        assert read(connection, len(first)) == first
        node.is_congested = False
        rest = b"".join(b":%d\r\n" % number for number in range(resp.SLICE_COMMANDS + 1, 1001))
        assert read(connection, len(rest)) == rest


def test_wait_holds_back_its_own_connection_only(node: FakeNode) -> None:
    node.answered = asyncio.Event()
    with serving(node) as server, connected(server) as waiting, connected(server) as other:
        waiting.sendall(b"SET a 1\r\nWAIT 2 1500\r\nSET b 1\r\n")
        assert read(waiting, 5) == b"+OK\r\n"
        wait_until(lambda: node.waits == [(2, 1.5)])
        waiting.sendall(b"GET b\r\n")
        other.sendall(b"GET a\r\nGET b\r\n")
        assert read(other, 12) == b"$1\r\n1\r\n$-1\r\n"
        server.loop.call_soon_threadsafe(node.answered.set)
        assert read(waiting, 16) == b":1\r\n+OK\r\n$1\r\n1\r\n"


def test_commands_behind_one_that_waits_are_bounded_by_bytes(
    node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resp, "MAX_QUEUED_BYTES", 300_000)
    node.answered = asyncio.Event()
    with serving(node) as server, connected(server) as waiting, connected(server) as other:
        waiting.sendall(b"WAIT 1 0\r\n")
        wait_until(lambda: node.waits == [(1, None)])
        waiting.setblocking(False)
        command, sent = b"*2\r\n$4\r\nECHO\r\n$99900\r\n" + b"x" * 99_900 + b"\r\n", 0
        for _ in range(1000):
            try:
                sent += waiting.send(command)
            except BlockingIOError:
                if _settled(lambda: server.counters.bytes_in, other, 6):
                    break
        assert server.counters.bytes_in < 2_000_000
        assert server.counters.bytes_in < sent


def test_what_all_clients_have_sent_and_not_taken_is_bounded(
    node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dmqcache.server.resp.clients.MAX_HELD_BYTES", 200_000)
    with serving(node) as server, connected(server) as small, connected(server) as large:
        for connection, size in ((large, 150_000), (small, 90_000)):
            connection.sendall(b"*2\r\n$4\r\nECHO\r\n$500000\r\n" + b"x" * size)
        wait_until(lambda: server.counters.refused["memory"] == 1)
        wait_until(lambda: 90_000 < server.shared.held < 100_000)
        assert server.clients == 1
    assert server.shared.held == 0


@pytest.mark.parametrize(
    "held",
    [
        b"MULTI\r\n" + (b"*2\r\n$4\r\nECHO\r\n$50000\r\n" + b"x" * 50_000 + b"\r\n") * 5,
        b"".join(b"WATCH %d%s\r\n" % (number, b"x" * 1000) for number in range(250)),
        b"*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n$250000\r\n" + b"x" * 250_000 + b"\r\n",
    ],
)
def test_what_a_client_has_the_node_keep_counts_too(
    node: FakeNode, monkeypatch: pytest.MonkeyPatch, held: bytes
) -> None:
    monkeypatch.setattr("dmqcache.server.resp.clients.MAX_HELD_BYTES", 200_000)
    with serving(node) as server, connected(server) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(held)
        wait_until(lambda: server.counters.refused["memory"] == 1)
        wait_until(lambda: server.clients == 0)
    assert server.shared.held == 0


def test_wait_for_ever_ends_with_its_client(node: FakeNode) -> None:
    node.answered = asyncio.Event()
    with serving(node) as server:
        with connected(server) as waiting:
            waiting.sendall(b"WAIT 1 0\r\n")
            wait_until(lambda: node.waits == [(1, None)])
            assert node.waiting == 1
        wait_until(lambda: server.clients == node.waiting == 0)


def test_replies_can_be_left_out(node: FakeNode) -> None:
    with serving(node) as server, connected(server) as connection:
        connection.sendall(b"CLIENT REPLY SKIP\r\nECHO a\r\nECHO b\r\nCLIENT REPLY OFF\r\nECHO c\r\n")
        connection.sendall(b"CLIENT REPLY SKIP\r\nWAIT 1 5\r\nCLIENT REPLY ON\r\nECHO d\r\n")
        expected = b"$1\r\nb\r\n+OK\r\n$1\r\nd\r\n"
        assert read(connection, len(expected)) == expected


def test_a_connection_can_be_ended_by_another(node: FakeNode) -> None:
    with serving(node) as server, connected(server) as killer, connected(server) as victim:
        victim.sendall(b"CLIENT ID\r\n")
        number = read(victim, 4).strip(b":\r\n")
        killer.sendall(b"CLIENT KILL ID " + number + b"\r\nPING\r\n")
        assert read(killer, 11) == b":1\r\n+PONG\r\n"
        assert read(victim, 1) == b""
        wait_until(lambda: server.clients == 1)


def test_closing_the_server_ends_every_connection(node: FakeNode) -> None:
    with serving(node) as server:
        connection = socket.create_connection(server.address, DEADLINE_S)
        wait_until(lambda: server.clients == 1)
    with closing(connection):
        assert connection.recv(10) == b""


def with_password(password: str = "secret") -> Doors:
    return Doors(users=lambda: making_users(password))


ECHO = b"*2\r\n$4\r\nECHO\r\n$20000\r\n" + b"x" * 20_000 + b"\r\n"


@pytest.mark.parametrize("whole", [True, False])
def test_what_comes_with_the_password_is_read_without_the_limits_of_strangers(
    node: FakeNode, whole: bool
) -> None:
    many = b"*12\r\n$3\r\nDEL\r\n" + b"$1\r\na\r\n" * 11
    sent = b"PING\r\nAUTH secret\r\n" + ECHO + many + b"PING\r\n"
    expected = b"-NOAUTH Authentication required.\r\n+OK\r\n" + ECHO[14:] + b":0\r\n+PONG\r\n"
    with serving(node, doors=with_password()) as server, connected(server) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if whole:
            connection.sendall(sent)
        else:
            for place in range(40):
                connection.sendall(sent[place : place + 1])
            connection.sendall(sent[40:])
        assert read(connection, len(expected)) == expected
        assert server.counters.commands == 5


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"*11\r\n", b"unauthenticated multibulk length"),
        (b"*2\r\n$4\r\nAUTH\r\n$16385\r\n", b"unauthenticated bulk length"),
        (b"*2\r\n$4\r\nAUTH\r\n$-7\r\n", b"invalid bulk length"),
        (b"x\r\n" * 1000, b"too many commands before AUTH"),
    ],
)
def test_a_stranger_is_held_to_redis_limits(node: FakeNode, sent: bytes, said: bytes) -> None:
    with serving(node, doors=with_password()) as server, connected(server) as connection:
        connection.sendall(sent)
        assert read(connection, 1 << 20).endswith(b"-ERR Protocol error: " + said + b"\r\n")
        assert server.counters.refused["protocol_error"] == 1
        wait_until(lambda: server.clients == 0)
        assert server.shared.held == 0


def test_a_stranger_can_hold_little(node: FakeNode) -> None:
    with serving(node, doors=with_password()) as server, connected(server) as connection:
        connection.sendall(b"*10\r\n" + (b"$16384\r\n" + b"x" * 16_384 + b"\r\n") * 9)
        wait_until(lambda: server.shared.held > 9 * 16_384)
        assert server.shared.held < 200_000


def test_after_reset_a_client_is_a_stranger_again(node: FakeNode) -> None:
    with serving(node, doors=with_password()) as server, connected(server) as connection:
        connection.sendall(b"AUTH secret\r\nRESET\r\nGET a\r\n")
        expected = b"+OK\r\n+RESET\r\n-NOAUTH Authentication required.\r\n"
        assert read(connection, len(expected)) == expected
        connection.sendall(b"*11\r\n")
        assert b"unauthenticated multibulk length" in read(connection, 1000)


def test_clients_of_other_machines_need_a_password(node: FakeNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resp, "is_local", lambda sock, host: False)
    with serving(node) as server, connected(server) as connection:
        said = read(connection, 10_000)
        assert said.startswith(b"-DENIED dmqcache is running in protected mode because protected mode is ")
        assert b"--allow-open" in said and said.endswith(b"\r\n")
        assert server.counters.refused["protected"] == 1
        assert node.bus.counters.refused_clients == {"stranger": 1}
        wait_until(lambda: server.clients == 0)
    with serving(node, doors=with_password()) as server, connected(server) as connection:
        connection.sendall(b"AUTH secret\r\nPING\r\n")
        assert read(connection, 12) == b"+OK\r\n+PONG\r\n"
    with serving(node, doors=Doors(protected=False)) as server, connected(server) as connection:
        connection.sendall(b"PING\r\n")
        assert read(connection, 7) == b"+PONG\r\n"


def test_redis_py_logs_in(node: FakeNode) -> None:
    doors = Doors(users=lambda: making_users("secret", "user app on >app ~call-* +@all"))
    with serving(node, doors=doors) as server:
        host, port = server.address
        for protocol in (2, 3):
            with redis.Redis(host, port, protocol=protocol, password="secret") as client:
                assert client.set("a", "1")
            with redis.Redis(host, port, protocol=protocol, username="app", password="app") as client:
                assert client.set("call-1", "x")
                with pytest.raises(redis.exceptions.NoPermissionError):
                    client.get("a")
            with (
                redis.Redis(host, port, protocol=protocol, password="wrong") as client,
                pytest.raises(redis.exceptions.AuthenticationError),
            ):
                client.get("a")
        with redis.Redis(host, port) as client, pytest.raises(redis.exceptions.AuthenticationError):
            client.get("a")


@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py_works(node: FakeNode, protocol: int) -> None:
    with serving(node) as server:
        host, port = server.address
        with redis.Redis(host, port, db=1, protocol=protocol, client_name="test") as client:
            client.set("k", b"\xff\0", ex=10)
            assert client.get("k") == b"\xff\0"
            assert client.ttl("k") == 10
            assert client.incrby("n", 5) == 5
            assert list(client.scan_iter("*", count=1)) == [b"k", b"n"]
            assert client.pipeline().set("a", 1).incr("a").execute() == [True, 2]
            assert client.info("keyspace")["db1"]["keys"] == 3
            assert client.client_list()[0]["name"] == "test"
            assert client.command_count() > 50
            assert client.wait(1, 100) == 1
            assert client.config_get("save") == {"save": ""}
            assert client.dbsize() == 3
            assert "get" in {name.lower() for name in client.command()}
            with pytest.raises(redis.ResponseError, match="value is not an integer"):
                client.incr("k")


def test_a_subscriber_that_does_not_read_is_cut_off_and_counted(
    node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resp, "PUSHED_BYTES", 1 << 20)
    body = "x" * 50_000
    with serving(node) as server, connected(server) as slow, connected(server) as quick:
        slow.sendall(b"SUBSCRIBE a\r\n")
        read(slow, 30)
        publish = f"PUBLISH a {body}\r\n".encode()

        def told() -> bytes:
            quick.sendall(publish)
            return read(quick, 4)

        wait_until(lambda: told() == b":0\r\n", poll=0)
        assert server.counters.refused["slow_subscriber"] == 1
        wait_until(lambda: server.shared.held < 1_000)
    assert sections(server.shared)["Stats"]["client_output_buffer_limit_disconnections"] == 1


def test_a_subscriber_that_is_slow_for_long_is_cut_off(
    node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resp, "PUSHED_SOFT_BYTES", 1 << 20)
    monkeypatch.setattr(resp, "PUSHED_SOFT_S", 0.0)
    with serving(node) as server, connected(server) as slow, connected(server) as quick:
        slow.sendall(b"SUBSCRIBE a\r\n")
        read(slow, 30)

        def told() -> bytes:
            quick.sendall(b"PUBLISH a " + b"x" * 50_000 + b"\r\n")
            return read(quick, 4)

        wait_until(lambda: told() == b":0\r\n", poll=0)
        assert server.counters.refused["slow_subscriber"] == 1


def test_messages_stand_behind_the_replies_before_them_and_reach_who_only_waits(node: FakeNode) -> None:
    with serving(node) as server, connected(server) as one, connected(server) as two:
        one.sendall(b"HELLO 3\r\nSUBSCRIBE a\r\nGET x\r\nPUBLISH a 1\r\nGET x\r\n")
        expected = (
            b">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n_\r\n"
            b">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\n1\r\n:1\r\n_\r\n"
        )
        wait_until(lambda: one.recv(1 << 16, socket.MSG_PEEK).endswith(expected))
        one.recv(1 << 16)
        two.sendall(b"PUBLISH a 2\r\nPUBLISH a 3\r\n")
        expected = b"".join(b">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\n%d\r\n" % number for number in (2, 3))
        assert read(one, len(expected)) == expected
    wait_until(lambda: server.shared.subscriptions.channels == [])


def test_what_is_wrong_with_a_command_that_waits_is_its_reply(node: FakeNode) -> None:
    with serving(node) as server, connected(server) as connection:
        connection.sendall(b"DMQ.SEND alerts sip:127.0.0.12 x\r\nPING\r\n")
        reply = b"-ERR no channel 'alerts': --channel alerts or DMQ.CHANNEL declares one\r\n+PONG\r\n"
        assert read(connection, len(reply)) == reply
        assert server.counters.errors == 1


def many_keys(node: FakeNode, count: int = 10_000, length: int = 23) -> int:
    """So many that their list is a reply of some parts; returns its bytes."""
    for number in range(count):
        next(iter(node.tables.values())).set(f"key{number:0{length - 3}}", "v")
    return len(f"*{count}\r\n") + count * (len(f"${length}\r\n\r\n") + length)


def test_a_long_reply_is_written_in_parts_and_what_is_pushed_meanwhile_comes_behind_it(
    node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    size, writes = many_keys(node), list[int]()
    write = resp.Connection._write

    def noting(self: resp.Connection, data: bytes) -> None:
        writes.append(len(data))
        if data.startswith(b"*10000"):
            self._session.push(b">1\r\n+news\r\n")
        write(self, data)

    monkeypatch.setattr(resp.Connection, "_write", noting)
    with serving(node) as server, connected(server) as connection:
        connection.sendall(b"KEYS *\r\nPING\r\n")
        got = read(connection, size + len(b"+PONG\r\n") + len(b">1\r\n+news\r\n"))
    assert got.startswith(b"*10000\r\n$23\r\nkey0000")
    assert got[size - 25 : size] == b"key%020d\r\n" % 9_999
    assert sorted(got[size:].splitlines()) == [b"+PONG", b"+news", b">1"]
    assert max(writes) < PART_BYTES + 10_000 and len(writes) >= size // PART_BYTES


def test_of_a_long_reply_no_more_is_written_than_its_client_takes(node: FakeNode) -> None:
    size = many_keys(node, 12_000, 500)
    with serving(node) as server, connected(server) as connection, connected(server) as other:
        connection.sendall(b"KEYS *\r\n" * 3)  # more than the system's buffers take
        wait_until(lambda: server.shared.held > resp.OUTPUT_HIGH_BYTES)
        other.sendall(b"PING\r\n")
        assert read(other, 7) == b"+PONG\r\n"
        waiting = max(one._transport.get_write_buffer_size() for one in server._clients._clients)
        assert waiting < resp.OUTPUT_HIGH_BYTES + 3 * PART_BYTES
        got = 0
        while got < 3 * size:
            got += len(connection.recv(1 << 20))
        connection.sendall(b"PING\r\n")
        assert read(connection, 7) == b"+PONG\r\n"
        wait_until(lambda: server.shared.held == 0)


def test_a_long_reply_that_is_not_wanted_is_not_written(node: FakeNode) -> None:
    many_keys(node)
    with serving(node) as server, connected(server) as connection:
        connection.sendall(b"CLIENT REPLY SKIP\r\nKEYS *\r\nPING\r\n")
        assert read(connection, 7) == b"+PONG\r\n"
        wait_until(lambda: server.shared.held == 0)
