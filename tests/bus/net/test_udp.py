"""All datagram sockets together: who is reached from where, and who is not."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket

import pytest

from dmqcache.bus.net import udp_socket
from dmqcache.bus.sip.uri import Endpoint
from tests.bus.net.loops import Loop, both_loops, run, turns
from tests.bus.net.udp_sides import Side
from tests.waiting import until


@both_loops
@pytest.mark.parametrize("hosts", [("127.0.0.11", "127.0.0.12"), ("::1", "::1")])
def test_a_datagram_arrives_from_the_listening_address(loop: Loop, hosts: tuple[str, str]) -> None:
    async def main() -> None:
        one, two = Side(hosts[0]), Side(hosts[1])
        one.transport.send(b"hello there", two.bound[0])
        await until(lambda: two.received)
        assert two.received == [(b"hello there", one.bound[0])]
        assert one.bound[0].host == hosts[0]
        assert one.counters.bytes["out"] == two.counters.bytes["in"] == 11
        two.transport.send(b"and back", two.received[0][1])
        await until(lambda: one.received)
        assert one.received == [(b"and back", two.bound[0])]
        for side in (one, two):
            side.transport.close()

    run(loop, main())


@both_loops
def test_a_wildcard_listens_on_both_families_at_once(loop: Loop) -> None:
    async def main() -> None:
        side, four, six = Side("0.0.0.0", "::"), Side("127.0.0.12"), Side("::1")
        four.transport.send(b"by four", side.bound[0]._replace(host="127.0.0.1"))
        six.transport.send(b"by six", side.bound[1]._replace(host="::1"))
        await until(lambda: len(side.received) == 2)
        assert sorted(side.received) == [(b"by four", four.bound[0]), (b"by six", six.bound[0])]
        for data, source in list(side.received):
            side.transport.send(data, source)
        await until(lambda: four.received and six.received)
        for each in (side, four, six):
            each.transport.close()

    run(loop, main())


@both_loops
def test_an_answer_leaves_from_the_address_that_was_called(loop: Loop) -> None:
    async def main() -> None:
        side, caller = Side("127.0.0.11", "127.0.0.13"), Side("127.0.0.12")
        for called in (*side.bound, side.bound[0]):
            caller.transport.send(b"question", called)
            await until(lambda: side.received)
            side.transport.send(b"answer", side.received.pop()[1])
            await until(lambda: caller.received)
            assert caller.received.pop() == (b"answer", called)
        for each in (side, caller):
            each.transport.close()

    run(loop, main())


@pytest.mark.parametrize("host", ["::1", "node.example.org", "", "127.0.0.1 ", "256.1.1.1", "127.1"])
def test_what_no_socket_reaches_is_told_and_never_looked_up(host: str) -> None:
    async def main() -> None:
        side = Side("127.0.0.11")
        to = Endpoint("udp", host, 5060)
        side.transport.send(b"hello there", to)
        assert side.failed == []
        await until(lambda: side.failed)
        assert side.failed == [(to, "unsupported")]
        assert side.counters.drops == {"udp_unsupported": 1}
        side.transport.close()

    asyncio.run(main())


def test_nothing_is_sent_to_beyond_from_loopback_when_another_address_listens() -> None:
    async def main() -> None:
        side = Side("127.0.0.11", "0.0.0.0")
        side.transport.send(b"far away", Endpoint("udp", "192.0.2.77", 9))
        await turns()
        assert side.failed == []
        assert side.counters.bytes["out"] == 8
        side.transport.close()

    asyncio.run(main())


def test_an_address_that_is_taken_is_named() -> None:
    async def main() -> None:
        side = Side("127.0.0.11")
        port = side.bound[0].port
        with pytest.raises(OSError, match=f"cannot listen on udp 127.0.0.11 port {port}: ") as caught:
            side.transport.listen(ipaddress.ip_address("127.0.0.11"), port)
        assert caught.value.errno == errno.EADDRINUSE
        with pytest.raises(OSError, match=r"cannot listen on udp 192\.0\.2\.200 port 0: "):
            side.transport.listen(ipaddress.ip_address("192.0.2.200"), 0)
        side.transport.close()

    asyncio.run(main())


def test_many_peers_are_remembered_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dmqcache.bus.net.udp.KNOWN_PEERS", 8)
    monkeypatch.setattr(udp_socket, "KNOWN_PEERS", 8)

    async def main() -> None:
        side, other = Side("127.0.0.11", "127.0.0.13"), Side("127.0.0.12")
        other.on_message = lambda data, source: other.transport.send(data, source)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for number in range(30):
                side.transport.send(b"to somebody", Endpoint("udp", "192.0.2.2", 2000 + number))
                sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                sender.sendto(b"from somebody", side.bound[0][1:])
                sender.close()
            assert sock.fileno() >= 0
        await until(lambda: len(side.received) == 30)
        side.transport.send(b"and after that", other.bound[0])
        await until(lambda: (b"and after that", other.bound[0]) in side.received)
        for each in (side, other):
            each.transport.close()

    asyncio.run(main())
