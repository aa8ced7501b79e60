"""One connection: framing, keep-alives, bounds, and what its end means."""

from __future__ import annotations

import asyncio
import logging
import socket
from dataclasses import replace

import pytest

from dmqcache.bus.net import tcp_connection
from dmqcache.bus.net.tcp import TcpOptions
from dmqcache.bus.net.tcp_connection import STRANGER_MESSAGE_BYTES, TcpConnection
from dmqcache.bus.sip.uri import Endpoint
from tests.bus.net.loops import Loop, both_loops, run, turns
from tests.bus.net.tcp_sides import Plain, Side, called, closed, sides, sip, unused
from tests.waiting import until


@both_loops
def test_a_message_in_pieces_and_many_in_one_piece_come_out_whole(loop: Loop) -> None:
    async def main() -> None:
        async with sides("127.0.0.11") as [(side, here)]:
            _reader, writer = await asyncio.open_connection(here.host, here.port)
            message = sip(b"in pieces")
            for position in range(len(message)):
                writer.write(message[position : position + 1])
                await asyncio.sleep(0)
            writer.write(sip(b"a") + sip() + sip(b"c"))
            await until(lambda: len(side.received) == 4)
            assert side.bodies == [message, sip(b"a"), sip(), sip(b"c")]
            writer.close()

    run(loop, main())


@both_loops
def test_a_double_line_end_is_answered_with_one(loop: Loop) -> None:
    async def main() -> None:
        async with sides("127.0.0.11") as [(side, here)]:
            reader, writer = await asyncio.open_connection(here.host, here.port)
            async with asyncio.timeout(10):
                writer.write(b"\r\n\r\n")
                assert await reader.readexactly(2) == b"\r\n"
                writer.write(sip() + b"\r\n\r\n\r\n\r\n" + sip())
                assert await reader.readexactly(4) == b"\r\n\r\n"
            assert side.bodies == [sip(), sip()]
            writer.close()

    run(loop, main())


@both_loops
def test_a_close_is_told_while_an_answer_may_be_due(loop: Loop) -> None:
    async def main() -> None:
        async with sides("127.0.0.11") as [(side, _)]:
            plain, there = await called(side)
            plain.connections[0][1].close()
            await until(lambda: side.failed)
            assert side.failed == [(there, "closed")]
            plain.close()

    run(loop, main())


@both_loops
def test_a_close_after_long_silence_is_no_failure(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp_connection, "ANSWER_SECONDS", 0.0)

    async def main() -> None:
        async with sides("127.0.0.11") as [(side, _)]:
            plain, there = await called(side)
            plain.connections[0][1].write(sip(b"answer"))
            await until(lambda: side.received)
            plain.connections[0][1].close()
            await until(lambda: not side.transport._connections)

            def again() -> bool:
                side.transport.send(sip(b"2"), there)
                return len(plain.connections) == 2

            await until(again)
            assert side.failed == []
            plain.close()

    run(loop, main())


@both_loops
@pytest.mark.parametrize(
    ("garbage", "reason"),
    [
        (b"\x16\x03\x01\x02\x00", "not_sip"),
        (b"KDMQ sip:x SIP/2.0\r\nVia: x\r\n\r\n", "missing_content_length"),
        (b"KDMQ sip:x SIP/2.0\r\nContent-Length: 99999999999\r\n\r\n", None),
    ],
)
def test_what_is_not_sip_ends_the_connection_with_a_counted_reason(
    loop: Loop, garbage: bytes, reason: str | None
) -> None:
    async def main() -> None:
        async with sides("127.0.0.11") as [(side, here)]:
            reader, writer = await asyncio.open_connection(here.host, here.port)
            writer.write(sip(b"good") + garbage)
            await closed(reader)
            assert side.bodies == [sip(b"good")]
            assert sum(side.counters.drops.values()) == 1
            assert reason is None or side.counters.drops[reason] == 1
            writer.close()
            # And everybody else is served.
            reader, writer = await asyncio.open_connection(here.host, here.port)
            writer.write(sip(b"next"))
            await until(lambda: len(side.received) == 2)
            writer.close()

    run(loop, main())


@both_loops
def test_garbage_from_a_peer_that_owes_an_answer_is_told(loop: Loop) -> None:
    async def main() -> None:
        async with sides("127.0.0.11") as [(side, _)]:
            plain, there = await called(side)
            plain.connections[0][1].write(b"\0\0\0\0\0\0")
            await until(lambda: side.failed)
            assert side.failed == [(there, "framing")]
            plain.close()

    run(loop, main())


@both_loops
def test_what_waits_for_a_slow_reader_is_bounded(loop: Loop) -> None:
    async def main() -> None:
        async with sides("127.0.0.11", options=TcpOptions(backlog=100_000)) as [(side, _)]:
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
                listener.bind(("127.0.0.14", 0))
                listener.listen()
                there = Endpoint("tcp", *listener.getsockname())
                message = sip(b"x" * 10_000)

                def dropped() -> int:
                    for _ in range(100):
                        side.transport.send(message, there)
                    return side.counters.drops["tcp_backlog"]

                await until(dropped)
                await turns()
                assert side.failed == []
                # The way to others stays free.
                other, where = Side(), None
                where = await other.listen("127.0.0.12")
                side.transport.send(message, where)
                await until(lambda: other.received)
                await other.transport.close()

    run(loop, main())


def test_what_waits_for_a_connection_is_bounded_too() -> None:
    async def main() -> None:
        async with sides("127.0.0.11", options=TcpOptions(backlog=1000)) as [(side, _)]:
            plain = Plain()
            there = await plain.start()
            for _ in range(20):
                side.transport.send(sip(b"x" * 100), there)
            fit = 1000 // len(sip(b"x" * 100))
            assert side.counters.drops == {"tcp_backlog": 20 - fit}
            await plain.read(sip(b"x" * 100) * fit)
            plain.close()

    asyncio.run(main())


@both_loops
def test_a_connection_that_says_nothing_whole_is_closed(loop: Loop) -> None:
    async def main() -> None:
        async with sides("127.0.0.11") as [(side, here)]:
            _good_reader, good = await asyncio.open_connection(here.host, here.port)
            good.write(sip())
            await until(lambda: side.received)
            # Not before: on a busy machine it would be too slow itself.
            context = side.transport._context
            options = replace(context.options, first_message_timeout=0.05)
            side.transport._context = replace(context, options=options)
            reader, writer = await asyncio.open_connection(here.host, here.port)
            writer.write(sip(b"never whole")[:-1])
            await closed(reader)
            assert side.counters.drops == {"tcp_silent": 1}
            good.write(sip(b"still here"))
            await until(lambda: len(side.received) == 2)
            writer.close()
            good.close()

    run(loop, main())


@both_loops
def test_a_receiver_that_breaks_loses_its_own_message_only(
    loop: Loop, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with sides("127.0.0.11") as [(side, here)]:

            def receive(data: bytes, source: Endpoint) -> None:
                if data == sip(b"bad"):
                    raise ValueError("on purpose")

            side.on_message = receive
            _reader, writer = await asyncio.open_connection(here.host, here.port)
            writer.write(sip(b"good") + sip(b"bad") + sip(b"good"))
            await until(lambda: len(side.received) == 3)
            assert side.counters.drops == {"receive_error": 1}
            writer.close()

    with caplog.at_level(logging.CRITICAL):
        run(loop, main())


def test_a_connection_with_itself_is_none() -> None:
    """The kernel may give a connection the very port that it calls, and so connect it to itself."""

    class Mirror(asyncio.Transport):
        connection: TcpConnection

        def get_extra_info(self, name: str, default: object = None) -> object:
            return ("127.0.0.14", 40_000) if name in ("peername", "sockname") else default

        def is_closing(self) -> bool:
            return False

        def abort(self) -> None:
            self.connection.connection_lost(None)

    async def main() -> None:
        async with sides("127.0.0.11") as [(side, _)]:
            there = Endpoint("tcp", "127.0.0.14", 40_000)
            mirror = Mirror()
            connection = mirror.connection = TcpConnection(side.transport._context, "tcp", there)
            side.transport._lead(there, connection)
            connection.connection_made(mirror)
            await until(lambda: side.failed)
            assert side.failed == [(there, "refused")]

    asyncio.run(main())


def test_who_ended_a_connection_is_blamed_though_another_took_its_place_before_the_loop_told_of_it() -> None:
    """It passed for one that we closed: no rest before the next attempt, and no word of what is wrong."""

    class Ending(asyncio.Transport):
        def get_extra_info(self, name: str, default: object = None) -> object:
            return ("127.0.0.14", 40_000) if name == "peername" else default

        def is_closing(self) -> bool:
            return True

        def close(self) -> None:
            pass

    async def main() -> None:
        async with sides("127.0.0.11") as [(side, _)]:
            there = unused()
            connection = TcpConnection(side.transport._context, "tcp", there)
            side.transport._lead(there, connection)
            connection.connection_made(Ending())
            side.transport.send(sip(b"again"), there)
            assert not connection.leads_to
            connection.connection_lost(None)
            assert side.transport._backoff.reason(there) == "closed"

    asyncio.run(main())


def test_small_messages_are_not_held_back_and_a_lost_machine_is_noticed() -> None:
    async def main() -> None:
        async with sides("127.0.0.11", "127.0.0.12") as [(one, _), (two, there)]:
            one.transport.send(sip(), there)
            await until(lambda: two.received)
            for side in (one, two):
                (connection,) = side.transport._connections
                assert connection._transport is not None
                sock = connection._transport.get_extra_info("socket")
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
                assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)

    asyncio.run(main())


@both_loops
def test_a_message_that_does_not_end_ends_the_connection(loop: Loop) -> None:
    async def main() -> None:
        async with sides("127.0.0.11", options=TcpOptions(message_timeout=0.05)) as [(side, here)]:
            reader, writer = await asyncio.open_connection(here.host, here.port)
            writer.write(sip(b"whole") + sip(b"half")[:-2])
            await closed(reader)
            assert side.bodies == [sip(b"whole")] and side.counters.drops == {"tcp_unfinished": 1}
            writer.close()

    run(loop, main())


def test_the_time_of_a_message_counts_from_its_own_beginning() -> None:
    async def main() -> None:
        async with sides("127.0.0.11") as [(side, here)]:
            _, writer = await asyncio.open_connection(here.host, here.port)
            writer.write(sip(b"1")[:-1])
            await until(lambda: any(each._unfinished for each in side.transport._connections))
            (connection,) = side.transport._connections
            first = connection._unfinished
            writer.write(sip(b"1")[-1:] + sip(b"2")[:-1])
            await until(lambda: len(side.received) == 1)
            assert connection._unfinished is not None and connection._unfinished is not first
            writer.write(sip(b"2")[-1:])
            await until(lambda: len(side.received) == 2)
            assert connection._unfinished is None
            writer.close()

    asyncio.run(main())


def test_large_messages_are_taken_from_the_hosts_of_nodes_only() -> None:
    nodes: set[str] = set()
    options = TcpOptions(is_node=lambda endpoint: endpoint.host in nodes)
    large = sip(b"x" * STRANGER_MESSAGE_BYTES)

    async def main() -> None:
        async with sides("127.0.0.11", options=options) as [(side, here)]:
            reader, writer = await asyncio.open_connection(here.host, here.port, local_addr=("127.0.0.12", 0))
            # The same connection, before and after the node has answered us.
            writer.write(sip(b"small"))
            await until(lambda: len(side.received) == 1)
            nodes.add("127.0.0.12")
            writer.write(large)
            await until(lambda: len(side.received) == 2)
            nodes.clear()
            writer.write(large)
            await closed(reader)
            assert side.counters.drops == {"too_large": 1}
            writer.close()

    asyncio.run(main())


def test_who_sends_nonsense_again_and_again_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with sides("127.0.0.11") as [(side, here)]:
            for number in range(1, 4):
                _, writer = await asyncio.open_connection(here.host, here.port)
                writer.write(b"\x16\x03\x01")
                await until(lambda wanted=number: side.counters.drops["not_sip"] == wanted)  # type: ignore[misc]
                writer.close()

    with caplog.at_level(logging.WARNING):
        asyncio.run(main())
    assert caplog.text.count("closing the connection") == 1
