"""The choice of the transport, and starting and stopping all of them together."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from dmqcache.bus.bus_counters import BusCounters
from dmqcache.bus.net.transport import TransportOptions, Transports
from dmqcache.bus.sip.uri import Endpoint, NodeURI
from tests.bus.net.loops import Loop, both_loops, run, turns
from tests.bus.net.tcp_sides import sides, sip
from tests.waiting import until

UDP, TCP = NodeURI("127.0.0.11", 0), NodeURI("127.0.0.11", 0, "tcp")


class Node:
    """Transports and all that they told."""

    def __init__(self, *listen: NodeURI, options: TransportOptions | None = None) -> None:
        self.received: list[tuple[bytes, Endpoint]] = []
        self.failed: list[tuple[Endpoint, str]] = []
        self.counters = BusCounters()
        self.transports = Transports(
            listen,
            lambda data, source: self.received.append((data, source)),
            lambda endpoint, reason: self.failed.append((endpoint, reason)),
            self.counters,
            options,
        )


@asynccontextmanager
async def node(*listen: NodeURI) -> AsyncIterator[Node]:
    made = Node(*listen)
    await made.transports.start()
    try:
        yield made
    finally:
        await made.transports.close()


@both_loops
def test_the_endpoint_says_which_transport_carries_a_message(loop: Loop) -> None:
    async def main() -> None:
        listen = (NodeURI("127.0.0.12", 0, "tcp"), NodeURI("127.0.0.12", 0), NodeURI("::1", 0))
        async with node(UDP, NodeURI("::1", 0)) as one, node(*listen) as two:
            bound = two.transports.bound
            assert [(each.transport, each.host) for each in bound] == [
                ("tcp", "127.0.0.12"),
                ("udp", "127.0.0.12"),
                ("udp", "::1"),
            ]
            assert all(each.port for each in bound)
            for endpoint in bound:
                one.transports.send(sip(endpoint.host.encode()), endpoint)
            await until(lambda: len(two.received) == 3)
            sources = {(source.transport, source.host) for _, source in two.received}
            # TCP too comes from the address that listens, if only for datagrams.
            assert sources == {("tcp", "127.0.0.11"), ("udp", "127.0.0.11"), ("udp", "::1")}
            for data, source in list(two.received):
                two.transports.send(data, source)
            await until(lambda: len(one.received) == 3)
            assert {source for _, source in one.received} == set(bound)
            assert one.failed == two.failed == []

    run(loop, main())


@both_loops
def test_an_alias_works_through_the_front_door(loop: Loop) -> None:
    async def main() -> None:
        async with node(TCP) as one, node(NodeURI("127.0.0.12", 0, "tcp")) as two:
            two.transports.send(sip(b"hello"), one.transports.bound[0])
            await until(lambda: one.received)
            # An endpoint where nobody listens: only the alias can lead there.
            named = Endpoint("tcp", "127.0.0.12", 1)
            one.transports.alias(named, one.received[0][1])
            one.transports.send(sip(b"answer"), named)
            await until(lambda: two.received)
            one.transports.alias(named._replace(transport="udp"), Endpoint("udp", "127.0.0.12", 9))
            assert one.failed == []

    run(loop, main())


@pytest.mark.parametrize("transport", ["tls", "sctp", ""])
def test_a_transport_that_is_not_spoken_fails_on_a_later_turn(transport: str) -> None:
    async def main() -> None:
        async with node(UDP) as one:
            to = Endpoint(transport, "127.0.0.12", 5061)
            one.transports.send(sip(), to)
            assert one.failed == []
            await until(lambda: one.failed)
            assert one.failed == [(to, "unsupported")]
            assert one.counters.drops == {"transport_unsupported": 1}

    asyncio.run(main())


def test_tls_gives_a_clear_error() -> None:
    async def main() -> None:
        with pytest.raises(
            OSError, match=r"cannot listen on sip:127\.0\.0\.11:5061;transport=tls: TLS needs"
        ):
            await Node(UDP, NodeURI("127.0.0.11", 5061, "tls")).transports.start()

    asyncio.run(main())


@both_loops
@pytest.mark.parametrize(
    ("transport", "kind"), [("udp", socket.SOCK_DGRAM), ("tcp", socket.SOCK_STREAM)], ids=["udp", "tcp"]
)
def test_a_taken_address_is_named_and_nothing_stays_bound(
    loop: Loop, transport: str, kind: socket.SocketKind
) -> None:
    async def main() -> None:
        with socket.socket(socket.AF_INET, kind) as taken, socket.socket(socket.AF_INET, kind) as probe:
            taken.bind(("127.0.0.11", 0))
            port = taken.getsockname()[1]
            if kind == socket.SOCK_STREAM:
                taken.listen()
            free = NodeURI("127.0.0.13", port, transport)
            one = Node(free, NodeURI("127.0.0.11", port, transport))
            with pytest.raises(
                OSError, match=f"cannot listen on {transport} 127.0.0.11 port {port}: "
            ) as caught:
                await one.transports.start()
            assert caught.value.errno == errno.EADDRINUSE
            assert one.transports.bound == ()
            probe.bind((free.host, free.port))

    run(loop, main())


@both_loops
def test_a_name_may_be_listened_on(loop: Loop) -> None:
    async def main() -> None:
        async with node(NodeURI("localhost", 0)) as one:
            assert one.transports.bound[0].host in ("127.0.0.1", "::1")
        with pytest.raises(OSError, match=r"cannot listen on .*: nowhere\.invalid does not resolve"):
            await Node(NodeURI("nowhere.invalid", 0)).transports.start()

    run(loop, main())


@both_loops
def test_after_the_end_nothing_is_sent_and_nothing_told(loop: Loop) -> None:
    async def main() -> None:
        async with node(UDP, TCP) as one, node(NodeURI("127.0.0.12", 0)) as two:
            there = two.transports.bound[0]
            one.transports.send(b"to nobody", Endpoint("sctp", "127.0.0.12", 1))
            await one.transports.close()
            for endpoint in (there, there._replace(transport="tcp")):
                one.transports.send(sip(), endpoint)
            await turns()
            assert two.received == []
            assert one.failed == []
            assert one.counters.drops == {"transport_unsupported": 1, "transport_closed": 2}

    run(loop, main())


def test_there_must_be_a_loop() -> None:
    with pytest.raises(RuntimeError):
        Transports([], lambda data, source: None, lambda endpoint, reason: None, BusCounters())


@both_loops
def test_the_goodbye_is_written_before_the_end(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dmqcache.bus.net.tcp.CLOSE_SECONDS", 10.0)

    async def main() -> None:
        async with sides("127.0.0.11", "127.0.0.12") as [(one, _), (two, there)]:
            one.transport.send(sip(b"hello"), there)
            await until(lambda: two.received)
            # More than the kernel takes at once.
            for _ in range(3):
                one.transport.send(sip(b"x" * 5_000_000), there)
            one.transport.send(sip(b"goodbye"), there)
            await one.transport.close()
            await until(lambda: two.bodies[-1] == sip(b"goodbye"))
            assert one.failed == []
            one.transport.send(sip(), there)
            await until(lambda: one.failed)
            assert one.failed == [(there, "unsupported")]

    run(loop, main())


@both_loops
def test_the_end_does_not_wait_for_who_never_reads(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dmqcache.bus.net.tcp.CLOSE_SECONDS", 0.05)

    async def main() -> None:
        async with sides("127.0.0.11") as [(side, _)]:
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
                listener.bind(("127.0.0.14", 0))
                listener.listen()
                there = Endpoint("tcp", *listener.getsockname())
                side.transport.send(sip(b"x" * 8_000_000), there)
                await until(lambda: side.counters.bytes["out"])
                async with asyncio.timeout(10):
                    await side.transport.close()
                assert side.failed == []

    run(loop, main())
