"""One datagram socket: what arrives, what is refused, and that nobody innocent loses anything over it."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket

import pytest

from dmqcache.bus.allow import AllowList
from dmqcache.bus.net import packet_filter, udp_socket
from dmqcache.bus.net.udp import UdpOptions
from dmqcache.bus.net.udp_socket import DATAGRAMS_PER_WAKEUP, EXTENDED_ERROR
from dmqcache.bus.sip.uri import Endpoint
from tests.bus.net.loops import Loop, both_loops, run, turns
from tests.bus.net.udp_sides import Side, counted, linux_only, stubborn, unused
from tests.waiting import until


@both_loops
def test_any_bytes_up_to_the_protocols_limit_arrive_whole(loop: Loop) -> None:
    async def main() -> None:
        one, two = Side("127.0.0.11"), Side("127.0.0.12")
        bodies = [bytes(range(256)) * 255, b"\0" * 65_507, b"short"]
        for body in bodies:
            one.transport.send(body, two.bound[0])
        await until(lambda: len(two.received) == len(bodies))
        assert two.bodies == bodies
        for side in (one, two):
            side.transport.close()

    run(loop, main())


@both_loops
@pytest.mark.parametrize(("seconds", "most"), [(9.0, DATAGRAMS_PER_WAKEUP), (-1.0, 1)])
def test_a_burst_arrives_whole_and_gives_the_loop_its_turns(
    loop: Loop, monkeypatch: pytest.MonkeyPatch, seconds: float, most: int
) -> None:
    """However many there are, and however long each takes."""
    monkeypatch.setattr(udp_socket, "READ_SECONDS", seconds)

    async def main() -> None:
        side = Side("127.0.0.11")
        turn, by_turn = 0, dict[int, int]()

        def count(data: bytes, source: Endpoint) -> None:
            by_turn[turn] = by_turn.get(turn, 0) + 1

        side.on_message = count
        burst = DATAGRAMS_PER_WAKEUP * 3 + 5
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for number in range(burst):
                sender.sendto(b"message %d" % number, side.bound[0][1:])

        async with asyncio.timeout(10):
            while len(side.received) < burst:
                await asyncio.sleep(0)
                turn += 1
        assert side.bodies == [b"message %d" % number for number in range(burst)]
        assert max(by_turn.values()) <= most
        side.transport.close()

    run(loop, main())


@linux_only
@both_loops
@pytest.mark.parametrize("host", ["127.0.0.14", "::1"])
def test_a_refusal_is_told_on_a_later_turn_with_the_peers_address(loop: Loop, host: str) -> None:
    async def main() -> None:
        side = Side("::1" if ":" in host else "127.0.0.11")
        gone = Side(host)
        dead = gone.bound[0]
        gone.transport.close()
        side.transport.send(b"anybody?", dead)
        assert side.failed == []
        await until(lambda: side.failed)
        assert side.failed == [(dead, "refused")]
        side.transport.close()

    run(loop, main())


@linux_only
@both_loops
def test_a_refusal_counts_only_with_a_quote_of_what_was_sent(loop: Loop) -> None:
    """Anybody can send ICMP in a node's name."""

    async def main() -> None:
        quotes: list[tuple[bytes, Endpoint]] = []

        def was_sent(quote: bytes, to: Endpoint) -> bool:
            quotes.append((quote, to))
            return quote.startswith(b"this")

        side, dead = Side("127.0.0.11", options=UdpOptions(was_sent=was_sent)), unused()
        side.transport.send(b"other bytes", dead)
        await until(lambda: quotes)
        await turns()
        assert quotes == [(b"other bytes", dead)] and side.failed == []
        assert side.counters.drops["icmp_unproven"] == 1
        side.transport.send(b"this was sent", dead)
        await until(lambda: side.failed)
        assert side.failed == [(dead, "refused")]
        side.transport.close()

    run(loop, main())


@linux_only
@both_loops
def test_refusals_cost_an_innocent_peer_nothing_in_either_direction(loop: Loop) -> None:
    """A pending ICMP error fails the next call on the socket, whomever it is for; and under libuv it ends the
    watching of the socket."""

    async def main() -> None:
        side, good = Side("127.0.0.11"), Side("127.0.0.12")
        dead = [unused(f"127.0.0.{20 + number}") for number in range(5)]
        good.on_message = lambda data, source: good.transport.send(b"re: " + data, source)
        for round_ in range(20):
            for endpoint in dead:
                side.transport.send(b"anybody?", endpoint)
            side.transport.send(b"round %d" % round_, good.bound[0])
            if round_ % 3 == 0:
                await asyncio.sleep(0.001)
        await until(lambda: len(side.received) == 20)
        assert good.bodies == [b"round %d" % round_ for round_ in range(20)]
        assert {reason for _, reason in side.failed} == {"refused"}
        assert {endpoint for endpoint, _ in side.failed} == set(dead)
        for each in (side, good):
            each.transport.close()

    run(loop, main())


@both_loops
def test_what_a_full_socket_refuses_waits_in_order_and_bounded(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        side, sock = stubborn(monkeypatch, backlog=1000)
        other = Side("127.0.0.12")
        sock.full = True
        for number in range(12):
            side.transport.send(b"%0100d" % number, other.bound[0])
        assert side.counters.drops == {"udp_backlog": 2}
        await turns()
        assert other.received == []
        sock.full = False
        await until(lambda: len(other.received) == 10)
        assert other.bodies == [b"%0100d" % number for number in range(10)]
        side.transport.send(b"one more", other.bound[0])
        await until(lambda: len(other.received) == 11)
        # No busy loop for a socket that can always be written to.
        wakes: list[int] = []
        with monkeypatch.context() as patch:
            patch.setattr(udp_socket.UdpSocket, "_read", lambda self: wakes.append(1))
            await turns(50)
        assert not wakes
        assert side.failed == []
        for each in (side, other):
            each.transport.close()

    run(loop, main())


@both_loops
def test_a_full_socket_and_a_datagram_beyond_the_backlog(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        side, sock = stubborn(monkeypatch, backlog=10)
        wakes: list[int] = []
        sock.full = True
        side.transport.send(b"more than ten bytes", unused())
        sock.full = False
        with monkeypatch.context() as patch:
            patch.setattr(udp_socket.UdpSocket, "_read", lambda self: wakes.append(1))
            await turns(50)
        assert not wakes, "nothing waits, so room in the socket must wake nobody"
        assert side.counters.drops == {"udp_backlog": 1}
        side.transport.close()

    run(loop, main())


def test_what_waits_at_the_end_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        side, sock = stubborn(monkeypatch)
        sock.full = True
        for _ in range(3):
            side.transport.send(b"goodbye", unused())
        side.transport.close()
        assert side.counters.drops == {"udp_backlog": 3}

    asyncio.run(main())


@linux_only
@both_loops
def test_an_error_that_no_call_showed_is_taken_off_the_socket(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        side, sock = stubborn(monkeypatch)
        # The kernel queues this one for the error queue alone: left there, it would wake the loop for ever.
        with pytest.raises(OSError, match="too long"):
            socket.socket.sendto(sock, b"x" * 65_508, ("127.0.0.12", 9))
        wakes: list[int] = []
        monkeypatch.setattr(udp_socket.UdpSocket, "_read_errors", counted(wakes))
        await turns(20)
        assert len(wakes) == 1
        side.transport.close()

    run(loop, main())


@pytest.mark.parametrize(
    ("code", "origin", "told"),
    [
        (errno.ECONNREFUSED, 2, ["refused"]),
        (errno.ECONNREFUSED, 3, ["refused"]),
        (errno.EHOSTUNREACH, 2, ["unreachable"]),
        (errno.EACCES, 2, ["unreachable"]),
        (errno.EMSGSIZE, 2, []),
        (errno.EMSGSIZE, 1, []),
        (errno.ENETUNREACH, 1, []),
    ],
)
def test_what_icmp_says_of_a_peer(
    monkeypatch: pytest.MonkeyPatch, code: int, origin: int, told: list[str]
) -> None:
    async def main() -> None:
        side, _ = stubborn(monkeypatch)
        (sock,) = side.transport._sockets
        sock._icmp(EXTENDED_ERROR.pack(code, origin, 3, 3, 0, 1400, 0) + b"offender", ("127.0.0.12", 9), b"")
        sock._icmp(b"too short", ("127.0.0.12", 9), b"")
        await turns()
        assert side.failed == [(Endpoint("udp", "127.0.0.12", 9), reason) for reason in told]
        side.transport.close()

    asyncio.run(main())


@pytest.mark.parametrize("code", [errno.ECONNREFUSED, errno.EHOSTUNREACH])
def test_a_send_that_meets_anothers_error_is_tried_again(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    async def main() -> None:
        side, sock = stubborn(monkeypatch)
        other = Side("127.0.0.12")
        sock.errors = [OSError(code, "of somebody else") for _ in range(3)]
        side.transport.send(b"still here", other.bound[0])
        await until(lambda: other.received)
        await turns()
        assert side.failed == []
        assert not side.counters.drops
        for each in (side, other):
            each.transport.close()

    asyncio.run(main())


def test_a_flood_of_refusals_is_no_word_on_who_is_sent_to(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        side, sock = stubborn(monkeypatch)
        sock.errors = [OSError(errno.ECONNREFUSED, "of somebody else") for _ in range(9)]
        side.transport.send(b"still here", unused())
        await turns()
        assert side.failed == [] and side.counters.drops["udp_refused"] == 1
        side.transport.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.ENETUNREACH, "unreachable"),
        (errno.EPERM, "blocked"),
        (errno.EINVAL, "unreachable"),
        (errno.EIO, "error"),
    ],
)
def test_a_send_that_cannot_be_is_told_and_counted(
    monkeypatch: pytest.MonkeyPatch, code: int, reason: str
) -> None:
    async def main() -> None:
        side, sock = stubborn(monkeypatch)
        sock.errors = [OSError(code, "for good") for _ in range(9)]
        to = unused()
        side.transport.send(b"hello there", to)
        assert side.failed == []
        await until(lambda: side.failed)
        assert side.failed == [(to, reason)]
        assert side.counters.drops == {f"udp_{reason}": 1}
        side.transport.close()

    asyncio.run(main())


def test_shortage_of_kernel_memory_is_a_loss_and_no_word_on_the_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        side, sock = stubborn(monkeypatch)
        sock.errors = [OSError(errno.ENOBUFS, "no buffer") for _ in range(9)]
        side.transport.send(b"hello there", unused())
        await turns()
        assert side.failed == []
        assert side.counters.drops == {"udp_no_buffer": 1}
        side.transport.close()

    asyncio.run(main())


@both_loops
def test_more_than_a_datagram_holds_is_told(loop: Loop) -> None:
    async def main() -> None:
        side, other = Side("127.0.0.11"), Side("127.0.0.12")
        side.transport.send(b"x" * 65_508, other.bound[0])
        side.transport.send(b"fits", other.bound[0])
        side.transport.send(b"fits too", other.bound[0])
        await until(lambda: side.failed and other.received)
        assert side.failed == [(other.bound[0], "too_large")]
        assert side.counters.drops == {"udp_too_large": 1}
        assert other.bodies == [b"fits too"]
        assert other.counters.drops == {"udp_keepalive": 1}
        for each in (side, other):
            each.transport.close()

    run(loop, main())


@pytest.mark.parametrize("port", [0, -1, 65_536])
def test_a_port_that_cannot_be_is_told(port: int) -> None:
    async def main() -> None:
        side = Side("127.0.0.11")
        side.transport.send(b"hello there", Endpoint("udp", "127.0.0.1", port))
        await until(lambda: side.failed)
        assert [reason for _, reason in side.failed] == ["unsupported"]
        side.transport.close()

    asyncio.run(main())


@both_loops
@pytest.mark.parametrize("data", [b"", b"\r\n", b"\r\n\r\n", b"\0\0\0\0"])
def test_keepalives_go_no_further(loop: Loop, data: bytes) -> None:
    async def main() -> None:
        side, other = Side("127.0.0.11"), Side("127.0.0.12")
        other.transport.send(data, side.bound[0])
        other.transport.send(b"a message", side.bound[0])
        await until(lambda: side.received)
        assert side.bodies == [b"a message"]
        assert side.counters.drops == {"udp_keepalive": 1}
        for each in (side, other):
            each.transport.close()

    run(loop, main())


@both_loops
def test_a_receiver_that_breaks_loses_its_own_datagram_only(loop: Loop) -> None:
    async def main() -> None:
        side, other = Side("127.0.0.11"), Side("127.0.0.12")

        def receive(data: bytes, source: Endpoint) -> None:
            if data == b"bad one":
                raise ValueError("on purpose")

        side.on_message = receive
        for data in (b"good one", b"bad one", b"good two"):
            other.transport.send(data, side.bound[0])
        await until(lambda: len(side.received) == 3)
        assert side.counters.drops == {"receive_error": 1}
        for each in (side, other):
            each.transport.close()

    run(loop, main())


@both_loops
def test_a_receiver_may_close_the_transport(loop: Loop) -> None:
    async def main() -> None:
        side, other = Side("127.0.0.11"), Side("127.0.0.12")
        side.on_message = lambda data, source: side.transport.close()
        for _ in range(3):
            other.transport.send(b"the last one", side.bound[0])
        await until(lambda: side.received)
        await turns()
        assert side.bodies == [b"the last one"]
        other.transport.close()

    run(loop, main())


@linux_only
def test_what_the_kernel_dropped_is_counted() -> None:
    async def main() -> None:
        side = Side("127.0.0.11", options=UdpOptions(socket_buffer=4096))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for _ in range(50):
                sender.sendto(b"x" * 1000, side.bound[0][1:])

            def counted() -> int:
                sender.sendto(b"knock knock", side.bound[0][1:])
                return side.counters.drops["udp_receive_buffer"]

            await until(counted)
        big = [data for data in side.bodies if len(data) == 1000]
        assert side.counters.drops["udp_receive_buffer"] >= 50 - len(big)
        side.transport.close()

    asyncio.run(main())


@linux_only
def test_a_kernel_that_gives_small_buffers_is_named_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Unprivileged(socket.socket):
        def setsockopt(self, *arguments):  # type: ignore[no-untyped-def]
            if arguments[1] in (udp_socket.SO_RCVBUFFORCE, udp_socket.SO_SNDBUFFORCE):
                raise PermissionError(errno.EPERM, "not root")
            return super().setsockopt(*arguments)

    async def main() -> None:
        monkeypatch.setattr("dmqcache.bus.net.sockaddr.socket.socket", Unprivileged)
        Side("127.0.0.11", options=UdpOptions(socket_buffer=2**30)).transport.close()
        Side("127.0.0.11", options=UdpOptions(socket_buffer=4096)).transport.close()

    asyncio.run(main())
    lines = [record.getMessage() for record in caplog.records]
    assert [line.rpartition(" ")[2] for line in lines] == ["net.core.rmem_max", "net.core.wmem_max"]


@pytest.mark.parametrize("in_the_kernel", [True, False])
def test_nothing_of_a_stranger_is_read_and_he_is_counted(
    in_the_kernel: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not in_the_kernel:
        monkeypatch.setattr(packet_filter, "attach", lambda sock, networks: False)

    async def main() -> None:
        allow = AllowList([ipaddress.ip_network("127.0.0.12")])
        side = Side("127.0.0.11", options=UdpOptions(allow=allow))
        for host, count in (("127.0.0.13", 5), ("127.0.0.12", 1)):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.bind((host, 0))
                for _ in range(count):
                    sender.sendto(host.encode() * 2, side.bound[0][1:])
        await until(lambda: side.received)
        assert side.bodies == [b"127.0.0.12127.0.0.12"]
        # The kernel's count is looked at when something came, and not more often than ten times a second.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.bind(("127.0.0.12", 0))

            def counted() -> bool:
                sender.sendto(b"again", side.bound[0][1:])
                return side.counters.drops["not_allowed"] == 5

            await until(counted)
        assert set(side.counters.drops) - {"not_allowed"} <= {"udp_receive_buffer"}
        assert side.counters.drops["udp_receive_buffer"] == 0
        side.transport.close()

    asyncio.run(main())


def test_a_list_whose_names_lead_elsewhere_counts_at_once() -> None:
    async def main() -> None:
        allow = AllowList(["node.example"])
        side = Side("127.0.0.11", options=UdpOptions(allow=allow))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.bind(("127.0.0.12", 0))
            sender.sendto(b"too early", side.bound[0][1:])
            await turns()
            assert allow.resolved({"node.example": ["127.0.0.12"]})
            side.transport.apply_allow_list()
            sender.sendto(b"welcome", side.bound[0][1:])
            await until(lambda: side.received)
        assert side.bodies == [b"welcome"]
        side.transport.close()

    asyncio.run(main())


def test_what_finds_no_room_is_told_apart_from_strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    full = [3]
    monkeypatch.setattr(packet_filter, "receive_buffer_errors", lambda: full[0])

    async def main() -> None:
        allow = AllowList([ipaddress.ip_network("127.0.0.12")])
        side = Side("127.0.0.11", options=UdpOptions(allow=allow))
        [sock] = side.transport._sockets
        full[0] = 5
        sock._account(7)
        assert side.counters.drops == {"udp_receive_buffer": 2, "not_allowed": 5}
        side.transport.close()

    asyncio.run(main())
