"""Connections: made on demand, kept, used both ways, bounded, and given up in time."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
import sys

import pytest

from dmqcache.bus.allow import AllowList
from dmqcache.bus.net import backoff, tcp_connection
from dmqcache.bus.net.tcp import TcpOptions
from dmqcache.bus.sip.uri import Endpoint
from tests.bus.net.loops import Loop, both_loops, run, turns
from tests.bus.net.tcp_sides import Plain, called, closed, sides, sip, unused
from tests.waiting import until


@both_loops
@pytest.mark.parametrize("hosts", [("127.0.0.11", "127.0.0.12"), ("::1", "::1")])
def test_messages_go_both_ways_over_one_connection(loop: Loop, hosts: tuple[str, str]) -> None:
    async def main() -> None:
        async with sides(*hosts) as [(one, _), (two, there)]:
            for body in (b"first", b"second" * 10_000):
                one.transport.send(sip(body), there)
            await until(lambda: len(two.received) == 2)
            assert two.bodies == [sip(b"first"), sip(b"second" * 10_000)]
            source = two.received[0][1]
            assert {source} == {source for _, source in two.received}
            assert source.host == hosts[0], "the connection comes from the listening address"
            two.transport.send(sip(b"answer"), source)
            await until(lambda: one.received)
            assert one.received == [(sip(b"answer"), there)]
            assert one.counters.bytes["out"] == two.counters.bytes["in"] == sum(map(len, two.bodies))
            assert one.failed == two.failed == []

    run(loop, main())


@both_loops
def test_a_refusal_is_told_at_once_and_again_while_the_endpoint_rests(loop: Loop) -> None:
    async def main() -> None:
        async with sides("127.0.0.11") as [(side, _)]:
            dead = unused()
            side.transport.send(sip(b"1"), dead)
            side.transport.send(sip(b"2"), dead)
            assert side.failed == []
            await until(lambda: side.failed)
            assert side.failed == [(dead, "refused")]
            assert side.counters.drops == {"tcp_refused": 2}
            side.transport.send(sip(b"3"), dead)
            assert len(side.failed) == 1, "never from inside the call"
            await turns()
            assert side.failed == [(dead, "refused")] * 2
            assert side.counters.drops == {"tcp_refused": 2, "tcp_backoff": 1}

    run(loop, main())


def test_that_there_is_no_connection_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """A node that is away is tried every second or so, and each attempt was a line."""
    dead, gone = unused(), unused("127.0.0.15")

    async def main() -> None:
        options = TcpOptions(has_left=lambda endpoint: endpoint == gone)
        async with sides("127.0.0.11", options=options) as [(side, _)]:
            for endpoint in (dead, gone):
                before = side.counters.drops["tcp_refused"]

                def refused(endpoint: Endpoint = endpoint, before: int = before) -> bool:
                    side.transport.send(sip(b"1"), endpoint)
                    return side.counters.drops["tcp_refused"] >= before + 2

                await until(refused)

    with caplog.at_level("INFO", "dmqcache.bus.net"):
        asyncio.run(main())
    assert [line.split(":")[0] for line in caplog.messages] == [
        f"no connection to {dead.host} port {dead.port}"
    ]


@both_loops
def test_an_endpoint_that_is_back_is_reached_after_its_rest(loop: Loop) -> None:
    async def main() -> None:
        async with sides("127.0.0.11") as [(side, _)]:
            there = unused()
            side.transport.send(sip(), there)
            await until(lambda: side.failed)
            plain = Plain()
            await plain.start(there.host, there.port)

            def connected() -> bool:
                side.transport.send(sip(), there)
                return bool(plain.connections)

            await until(connected)
            assert side.counters.drops["tcp_backoff"] > 0
            plain.close()

    run(loop, main())


@both_loops
def test_a_call_from_a_host_ends_the_rest_of_its_endpoints(loop: Loop) -> None:
    async def main() -> None:
        async with sides("127.0.0.11", "127.0.0.12") as [(one, here), (two, _)]:
            there = unused("127.0.0.12")
            one.transport.send(sip(), there)
            await until(lambda: one.failed)
            back = await two.listen("127.0.0.12", there.port)
            two.transport.send(sip(b"I am back"), here)
            await until(lambda: one.received)
            one.transport.send(sip(b"welcome"), back)
            await until(lambda: two.received)
            assert one.counters.drops["tcp_backoff"] == 0

    run(loop, main())


@both_loops
def test_a_reset_is_told_at_once_and_the_next_message_connects_again(loop: Loop) -> None:
    async def main() -> None:
        async with sides("127.0.0.11") as [(side, _)]:
            plain, there = await called(side)
            plain.connections[0][1].write(sip(b"answer"))
            await until(lambda: side.received)
            plain.reset(0)
            await until(lambda: side.failed)
            assert side.failed == [(there, "reset")]
            side.transport.send(sip(b"2"), there)
            await plain.read(sip(b"2"), connection=1)
            plain.close()

    run(loop, main())


@both_loops
def test_a_peer_that_takes_and_drops_connections_is_left_in_peace(loop: Loop) -> None:
    async def main() -> None:
        async with sides("127.0.0.11") as [(side, _)]:
            plain, there = await called(side)
            plain.reset(0)
            await until(lambda: side.failed)
            side.transport.send(sip(b"2"), there)
            assert side.counters.drops == {"tcp_backoff": 1}
            plain.close()

    run(loop, main())


@both_loops
def test_rests_begin_anew_after_a_peer_that_spoke(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "FIRST_SECONDS", 0.01)

    async def main() -> None:
        async with sides("127.0.0.11") as [(side, _)]:
            plain = Plain()
            there = await plain.start()

            async def fail() -> float:
                side.failed.clear()

                def refused() -> bool:
                    side.transport.send(sip(), there)
                    return side.counters.drops["tcp_refused"] > before

                before = side.counters.drops["tcp_refused"]
                await until(refused)
                return side.transport._backoff._rests[there].seconds

            plain.close()
            assert [await fail() for _ in range(3)] == [0.01, 0.02, 0.04]
            again = Plain()
            await again.start(there.host, there.port)

            def connected() -> bool:
                side.transport.send(sip(), there)
                return bool(again.connections)

            await until(connected)
            again.connections[0][1].write(sip(b"hello"))
            await until(lambda: side.received)
            again.close()
            await until(lambda: not side.transport._connections)
            assert await fail() == 0.01

    run(loop, main())


def test_no_connection_leaves_from_loopback_to_beyond() -> None:
    async def main() -> None:
        async with sides("127.0.0.11") as [(side, _)]:
            choose = side.transport._local_address
            assert choose(ipaddress.ip_address("127.0.0.12")) == ("127.0.0.11", 0)
            assert choose(ipaddress.ip_address("198.51.100.1")) is None
            assert choose(ipaddress.ip_address("::1")) is None
        async with sides("0.0.0.0") as [(side, _)]:
            assert side.transport._local_address(ipaddress.ip_address("127.0.0.12")) is None

    asyncio.run(main())


@both_loops
def test_a_connection_serves_the_endpoint_that_its_messages_name(loop: Loop) -> None:
    async def main() -> None:
        async with sides("127.0.0.11", "127.0.0.12") as [(one, here), (two, there)]:
            two.transport.send(sip(b"hello"), here)
            await until(lambda: one.received)
            source = one.received[0][1]
            one.transport.alias(there, source)
            one.transport.send(sip(b"over the same"), there)
            await until(lambda: two.received)
            # Whoever connects himself is known by his own end of it: here it is the way that two made.
            assert two.received == [(sip(b"over the same"), here)]

    run(loop, main())


@both_loops
def test_the_loss_of_a_connection_is_told_for_the_endpoint_it_served(loop: Loop) -> None:
    async def main() -> None:
        async with sides("127.0.0.11") as [(side, here)]:
            reader, writer = await asyncio.open_connection(here.host, here.port, local_addr=("127.0.0.12", 0))
            writer.write(sip())
            await until(lambda: side.received)
            source, named = side.received[0][1], unused("127.0.0.12")
            side.transport.alias(named, source)
            side.transport.send(sip(b"question"), named)
            assert await reader.readexactly(len(sip(b"question"))) == sip(b"question")
            writer.close()
            await until(lambda: side.failed)
            assert set(side.failed) == {(named, "closed"), (source, "closed")}
            side.transport.send(sip(), named)
            await until(lambda: (named, "refused") in side.failed)

    run(loop, main())


@pytest.mark.parametrize("claimed", ["127.0.0.13", "::1"])
def test_a_stranger_cannot_draw_anothers_messages_to_itself(claimed: str) -> None:
    async def main() -> None:
        async with sides("127.0.0.11", claimed) as [(side, here), (owner, owned)]:
            stranger = ("127.0.0.12", 0)
            _, writer = await asyncio.open_connection(here.host, here.port, local_addr=stranger)
            writer.write(sip())
            await until(lambda: side.received)
            side.transport.alias(owned, side.received[0][1])
            if ":" in claimed:
                side.transport.use_local(ipaddress.ip_address("::1"))
            side.transport.send(sip(b"for the owner"), owned)
            await until(lambda: owner.received)
            writer.close()

    asyncio.run(main())


@both_loops
def test_a_working_connection_is_not_replaced_but_a_silent_one_is(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with sides("127.0.0.11") as [(side, here)]:
            plain, there = await called(side)
            reader, writer = await asyncio.open_connection(here.host, here.port, local_addr=(there.host, 0))
            writer.write(sip(b"I restarted"))
            await until(lambda: side.received)
            source = side.received[0][1]
            side.transport.alias(there, source)
            side.transport.send(sip(b"2"), there)
            await plain.read(sip(b"2"))
            monkeypatch.setattr(tcp_connection, "STALE_SECONDS", -1.0)
            plain.connections[0][1].write(sip(b"answer"))
            await until(lambda: len(side.received) == 2)
            side.transport.alias(there, source)
            side.transport.send(sip(b"not silent"), there)
            await plain.read(sip(b"not silent"))
            side.transport.alias(there, source)
            side.transport.send(sip(b"3"), there)
            async with asyncio.timeout(10):
                assert await reader.readexactly(len(sip(b"3"))) == sip(b"3")
                assert await plain.connections[0][0].read() == b"", "the old one is closed"
            assert side.failed == []
            writer.close()
            plain.close()

    run(loop, main())


def test_an_alias_for_what_is_unknown_does_nothing() -> None:
    async def main() -> None:
        async with sides("127.0.0.11") as [(side, _)]:
            side.transport.alias(unused("127.0.0.12"), unused("127.0.0.12"))
            side.transport.alias(unused("127.0.0.12"), unused("127.0.0.12")._replace(transport="tls"))
            await turns()
            assert side.failed == []

    asyncio.run(main())


@pytest.mark.skipif(sys.platform != "linux", reason="a full backlog drops handshakes on Linux")
@both_loops
def test_an_endpoint_that_does_not_answer_times_out(loop: Loop) -> None:
    async def main() -> None:
        async with sides("127.0.0.11", options=TcpOptions(connect_timeout=0.1)) as [(side, _)]:
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as full:
                full.bind(("127.0.0.14", 0))
                full.listen(0)
                there = Endpoint("tcp", *full.getsockname())
                fillers = []
                for _ in range(4):
                    filler = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
                    filler.setblocking(False)
                    filler.connect_ex(full.getsockname())
                    fillers.append(filler)
                side.transport.send(sip(), there)
                await until(lambda: side.failed)
                assert side.failed == [(there, "timeout")]
                assert side.counters.drops == {"tcp_timeout": 1}
                for filler in fillers:
                    filler.close()

    run(loop, main())


@pytest.mark.parametrize(
    ("host", "port"), [("node.example.org", 5060), ("", 5060), ("127.0.0.1", 0), ("127.0.0.1", 65_536)]
)
def test_what_is_no_address_is_told_and_never_looked_up(host: str, port: int) -> None:
    async def main() -> None:
        async with sides("127.0.0.11") as [(side, _)]:
            side.transport.send(sip(), Endpoint("tcp", host, port))
            await until(lambda: side.failed)
            assert side.failed == [(Endpoint("tcp", host, port), "unsupported")]
            assert side.counters.drops == {"tcp_unsupported": 1}

    asyncio.run(main())


def test_an_address_that_is_taken_is_named() -> None:
    async def main() -> None:
        async with sides("127.0.0.11") as [(side, here)]:
            with pytest.raises(
                OSError, match=f"cannot listen on tcp 127.0.0.11 port {here.port}: "
            ) as caught:
                await side.listen("127.0.0.11", here.port)
            assert caught.value.errno == errno.EADDRINUSE

    asyncio.run(main())


def test_it_is_known_whether_a_connection_stands() -> None:
    async def main() -> None:
        async with sides("127.0.0.11") as [(side, here)]:
            _, writer = await asyncio.open_connection(here.host, here.port)
            writer.write(sip())
            await until(lambda: side.received)
            source = side.received[0][1]
            assert side.transport.connected(source)
            writer.close()
            await until(lambda: not side.transport.connected(source))

    asyncio.run(main())


def test_one_host_does_not_take_the_room_of_the_others() -> None:
    async def main() -> None:
        async with sides("127.0.0.11", options=TcpOptions(max_accepted_from_host=2)) as [(side, here)]:
            kept = [await asyncio.open_connection(here.host, here.port) for _ in range(2)]
            reader, writer = await asyncio.open_connection(here.host, here.port)
            await closed(reader)
            assert side.counters.drops == {"tcp_too_many": 1}
            _, other = await asyncio.open_connection(here.host, here.port, local_addr=("127.0.0.12", 0))
            other.write(sip())
            await until(lambda: side.received)
            for each in (writer, other, *(writer for _, writer in kept)):
                each.close()

    asyncio.run(main())


@both_loops
def test_only_so_many_connections_are_taken(loop: Loop) -> None:
    async def main() -> None:
        options = TcpOptions(max_accepted=2, kept_for_nodes=0)
        async with sides("127.0.0.11", options=options) as [(side, here)]:
            kept = [await asyncio.open_connection(here.host, here.port) for _ in range(2)]
            reader, writer = await asyncio.open_connection(here.host, here.port)
            await closed(reader)
            assert side.counters.drops == {"tcp_too_many": 1}
            writer.close()
            kept[0][1].write(sip())
            await until(lambda: side.received)
            kept[0][1].close()
            # A place is free again.
            for _, writer in kept:
                writer.close()

            async def served() -> bool:
                reader, writer = await asyncio.open_connection(here.host, here.port)
                writer.write(b"\r\n\r\n")
                try:
                    return await reader.read(2) == b"\r\n"
                except ConnectionResetError:
                    return False
                finally:
                    writer.close()

            async with asyncio.timeout(10):
                while not await served():
                    await asyncio.sleep(0.01)

    run(loop, main())


def test_idle_strangers_go_first_and_places_are_kept_for_nodes() -> None:
    async def main() -> None:
        options = TcpOptions(
            max_accepted=4, kept_for_nodes=1, idle=1000.0, is_node=lambda peer: peer.host == "127.0.0.13"
        )

        async def call(host: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            return await asyncio.open_connection(here.host, here.port, local_addr=(host, 0))

        async with sides("127.0.0.11", options=options) as [(side, here)]:
            strangers = [await call("127.0.0.12") for _ in range(3)]
            for number, (_, writer) in enumerate(strangers):
                writer.write(sip(b"%d" % number))
                await until(lambda wanted=number + 1: len(side.received) == wanted)  # type: ignore[misc]
            # Nobody of them is idle, and the last place is not for strangers.
            reader, writer = await call("127.0.0.12")
            await closed(reader)
            writer.close()
            assert side.counters.drops == {"tcp_too_many": 1}
            nodes = [await call("127.0.0.13") for _ in range(4)]
            for number, (_, writer) in enumerate(nodes):
                writer.write(sip(b"node"))
                await until(lambda wanted=number + 4: len(side.received) == wanted)  # type: ignore[misc]
            # Those who were silent longest went first; nodes take no place of nodes.
            for reader, _ in strangers:
                await closed(reader)
            assert side.counters.drops == {"tcp_too_many": 1, "tcp_idle": 3}
            reader, writer = await call("127.0.0.13")
            await closed(reader)
            for each in (writer, *(writer for _, writer in (*strangers, *nodes))):
                each.close()

    asyncio.run(main())


def test_a_stranger_takes_the_place_of_one_that_is_idle() -> None:
    async def main() -> None:
        options = TcpOptions(max_accepted=2, kept_for_nodes=1, idle=0.0, is_node=lambda peer: False)
        async with sides("127.0.0.11", options=options) as [(side, here)]:
            first, second = [await asyncio.open_connection(here.host, here.port) for _ in range(2)]
            await closed(first[0])
            second[1].write(sip())
            await until(lambda: side.received)
            assert side.counters.drops == {"tcp_idle": 1}
            for _, writer in (first, second):
                writer.close()

    asyncio.run(main())


def test_a_connection_of_a_stranger_is_not_taken() -> None:
    async def main() -> None:
        options = TcpOptions(allow=AllowList([ipaddress.ip_network("127.0.0.12")]))
        async with sides("127.0.0.11", options=options) as [(side, here)]:
            reader, writer = await asyncio.open_connection(here.host, here.port, local_addr=("127.0.0.13", 0))
            writer.write(sip(b"stranger"))
            await closed(reader)
            writer.close()
            assert side.counters.drops == {"not_allowed": 1}
            _, writer = await asyncio.open_connection(here.host, here.port, local_addr=("127.0.0.12", 0))
            writer.write(sip(b"friend"))
            await until(lambda: side.received)
            assert side.bodies == [sip(b"friend")]
            writer.close()

    asyncio.run(main())
