"""CLIENT PAUSE, UNPAUSE, UNBLOCK: their words, and what becomes of clients that wait."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.server.fakes import FakeNode, make_session
from tests.server.resp.rival import Speaker
from tests.server.resp.saying import NOT_INTEGER, OK, hold, say
from tests.server.serving import Serving, serving
from tests.waiting import wait_until

PAUSE_MODE = "ERR CLIENT PAUSE mode must be WRITE or ALL"
UNBLOCK_REASON = "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"
NOT_TIME = "ERR timeout is not an integer or out of range"


def test_words() -> None:
    hold(
        [
            ("CLIENT PAUSE x", NOT_TIME),
            ("CLIENT PAUSE -1", "ERR timeout is negative"),
            ("CLIENT PAUSE x foo", PAUSE_MODE),
            (
                "CLIENT PAUSE 1 write x",
                "ERR unknown subcommand or wrong number of arguments for 'PAUSE'. Try CLIENT HELP.",
            ),
            ("CLIENT PAUSE 9223372036854775807", OK),
            ("CLIENT PAUSE 0", OK),
            ("CLIENT UNPAUSE", OK),
            ("CLIENT UNBLOCK x", NOT_INTEGER),
            ("CLIENT UNBLOCK x foo", UNBLOCK_REASON),
            ("CLIENT UNBLOCK 99", 0),
            ("CLIENT UNBLOCK 1 error", 0),
        ]
    )


def test_a_transaction_that_pauses_runs_to_its_end() -> None:
    session = make_session()
    for words in (["MULTI"], ["SET", "a", "1"], ["CLIENT", "PAUSE", "60000"], ["SET", "b", "1"]):
        say(session, *words)
    assert say(session, "EXEC") == [OK, OK, OK]


class Clients:
    """Some clients of one server."""

    def __init__(self, server: Serving, count: int) -> None:
        self.server = server
        self.speakers = [Speaker(server.address) for _ in range(count)]

    def waiting(self, count: int) -> None:
        """Until so many clients wait."""
        sessions = self.server.shared.sessions
        wait_until(lambda: sum(one.waiting for one in sessions.values()) == count)


@pytest.fixture
def node() -> FakeNode:
    return FakeNode()


@pytest.fixture
def clients(node: FakeNode) -> Iterator[Clients]:
    with serving(node) as server:
        clients = Clients(server, 3)
        yield clients
        for one in clients.speakers:
            one.close()


def test_writes_wait_in_their_order_and_reads_do_not(clients: Clients) -> None:
    boss, first, second = clients.speakers
    assert boss.say(["CLIENT", "PAUSE", "60000", "WRITE"]) == b"OK"
    first.send_words(["APPEND", "a", "1"])
    first.send_words(["GET", "a"])
    clients.waiting(1)
    second.send_words(["APPEND", "a", "2"])
    clients.waiting(2)
    assert boss.say(["GET", "a"]) is None
    assert b"blocked_clients:2" in boss.say(["INFO", "clients"])
    assert boss.say(["CLIENT", "UNBLOCK", "2"]) == 0
    assert boss.say(["CLIENT", "UNPAUSE"]) == b"OK"
    assert (first.read(), second.read()) == (1, 2)
    assert first.read() in (b"1", b"12")
    assert boss.say(["GET", "a"]) == b"12"


def test_in_a_pause_of_all_errors_are_told_and_nothing_is_run(clients: Clients) -> None:
    boss, first, second = clients.speakers
    assert boss.say(["CLIENT", "PAUSE", "60000"]) == b"OK"
    boss.send_words(["CLIENT", "UNPAUSE"])
    first.send_words(["PING"])
    clients.waiting(2)
    assert second.say(["GET"]) == ("error", "ERR wrong number of arguments for 'get' command")
    second.close()
    clients.server.loop.call_soon_threadsafe(clients.server.shared.pause.end)
    assert (boss.read(), first.read()) == (b"OK", b"PONG")


def test_who_leaves_meanwhile_is_not_missed(clients: Clients, node: FakeNode) -> None:
    boss, first, second = clients.speakers
    boss.say(["CLIENT", "PAUSE", "60000", "WRITE"])
    first.send_words(["SET", "a", "1"])
    clients.waiting(1)
    first.close()
    clients.waiting(0)
    assert boss.say(["CLIENT", "UNPAUSE"]) == b"OK"
    assert second.say(["GET", "a"]) is None


def test_a_wait_is_ended_for_its_client(clients: Clients, node: FakeNode) -> None:
    boss, first, _ = clients.speakers
    number = str(first.say(["CLIENT", "ID"]))
    node.answered = asyncio.Event()
    first.send_words(["WAIT", "1", "0"])
    first.send_words(["PING"])
    clients.waiting(1)
    assert boss.say(["CLIENT", "UNBLOCK", number]) == 1
    assert (first.read(), first.read()) == (0, b"PONG")
    first.send_words(["WAIT", "1", "0"])
    clients.waiting(1)
    assert boss.say(["CLIENT", "UNBLOCK", number, "ERROR"]) == 1
    assert first.read() == ("error", "UNBLOCKED client unblocked via CLIENT UNBLOCK")
    assert boss.say(["CLIENT", "UNBLOCK", number]) == 0
    assert first.say(["PING"]) == b"PONG"
