"""Connections that others make: how many, and whether they stand."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from dmqcache.bus.net.tcp import TcpOptions
from tests.bus.net.loops import Loop, both_loops, run, until
from tests.bus.net.tcp_sides import sides, sip


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
            async with asyncio.timeout(10):
                with suppress(ConnectionResetError):
                    assert await reader.read() == b""
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
        async with sides("127.0.0.11", options=TcpOptions(max_accepted=2)) as [(side, here)]:
            kept = [await asyncio.open_connection(here.host, here.port) for _ in range(2)]
            reader, writer = await asyncio.open_connection(here.host, here.port)
            async with asyncio.timeout(10):
                with suppress(ConnectionResetError):
                    assert await reader.read() == b""
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
