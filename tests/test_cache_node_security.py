"""Whole nodes with an allow list, over TLS, and with a key."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis
import trustme

from dmqcache import CacheNode
from dmqcache.bus.trust.keys import KEY_BYTES, Key, read_keys, write_key
from tests import waiting

DEADLINE = 20.0
until = partial(waiting.until, timeout=DEADLINE)


def free_port(*hosts: str) -> int:
    """A port that is free on all these hosts."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Site:
    """A CA, and options of nodes with its certificates."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self._folder = folder
        self.port = free_port()

    def files(self, *names: str) -> dict[str, Any]:
        folder = self._folder / names[0]
        folder.mkdir(exist_ok=True)
        issued = self._ca.issue_cert(*names)
        issued.cert_chain_pems[0].write_to_path(folder / "cert")
        issued.private_key_pem.write_to_path(folder / "key")
        self._ca.cert_pem.write_to_path(folder / "ca")
        return {"tls_certificate": folder / "cert", "tls_key": folder / "key", "tls_ca": folder / "ca"}

    def uri(self, host: str, transport: str = "tls") -> str:
        return f"sip:{host}:{self.port}" + ("" if transport == "udp" else f";transport={transport}")


@asynccontextmanager
async def nodes(*options: dict[str, Any]) -> AsyncIterator[list[CacheNode]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(CacheNode(table="t", **one)) for one in options]


def test_nodes_over_tls_share_their_tables(tmp_path: Path) -> None:
    site = Site(tmp_path)

    async def main() -> None:
        first = {"server_address": site.uri("127.0.0.11"), **site.files("127.0.0.11")}
        second = {
            "server_address": site.uri("127.0.0.12"),
            "notification_address": site.uri("127.0.0.11"),
            **site.files("127.0.0.12"),
        }
        async with nodes(first, second) as (one, two):
            await until(lambda: one.bus.active_nodes() and two.bus.active_nodes())
            one.table("t")["a"] = "1"
            two.table("t")["b"] = "x" * 100_000
            await until(lambda: two.table("t").get("a") == "1" and one.table("t").get("b"))

    asyncio.run(main())


def test_of_a_node_that_left_no_line_says_that_it_takes_no_connections(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It was one for each attempt to reach it, four in the first second."""
    site = Site(tmp_path)
    first = {"server_address": site.uri("127.0.0.11"), **site.files("127.0.0.11")}
    second = {
        "server_address": site.uri("127.0.0.12"),
        "notification_address": site.uri("127.0.0.11"),
        **site.files("127.0.0.12"),
    }

    async def main() -> None:
        async with nodes(first) as (one,):
            async with nodes(second) as (two,):
                await until(lambda: one.bus.active_nodes() and two.bus.active_nodes())
            with caplog.at_level("INFO", "dmqcache"):
                refused = one.bus.counters.drops["tcp_refused"]
                await until(lambda: one.bus.counters.drops["tcp_refused"] > refused + 1)

    asyncio.run(main())
    assert [line for line in caplog.messages if "no connection to" in line] == []


def test_who_calls_itself_by_a_host_that_is_not_in_its_certificate_is_no_node(tmp_path: Path) -> None:
    site = Site(tmp_path)

    async def main() -> None:
        first = {"server_address": site.uri("127.0.0.11"), **site.files("127.0.0.11")}
        liar = {
            "server_address": site.uri("127.0.0.12"),
            "notification_address": site.uri("127.0.0.11"),
            **site.files("127.0.0.99"),
        }
        async with nodes(first, liar) as (one, two):
            await until(lambda: one.bus.counters.drops["sender_not_in_its_certificate"])
            assert one.bus.active_nodes() == []
            assert two.bus.counters.drops["own_message"] == 0

    asyncio.run(main())


def test_a_certificate_that_lacks_the_nodes_own_address_is_said_at_the_start_and_by_the_other_side(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The node said nothing but that its initial sync broke off, 1,570 times; the other one nothing."""
    site = Site(tmp_path)

    async def main() -> None:
        first = {"server_address": site.uri("127.0.0.11"), **site.files("127.0.0.11")}
        bad = {
            "server_address": site.uri("127.0.0.14"),
            "notification_address": site.uri("127.0.0.11"),
            **site.files("127.0.0.99"),
        }
        async with nodes(first, bad) as (one, two):
            await until(lambda: any("broke off 2 times" in line for line in caplog.messages))
            assert not one.bus.local.trouble
            (local,) = [row for row in two.node_rows() if row.local]
            assert "only for 127.0.0.99" in local.trouble

    asyncio.run(main())
    own = "this node's certificate does not speak for its address 127.0.0.14, only for 127.0.0.99: "
    there = "nothing is taken from 127.0.0.14, which calls itself 127.0.0.14: "
    for begin in (own, there):
        assert len([line for line in caplog.messages if line.startswith(begin)]) == 1


def test_of_a_node_whose_ca_others_do_not_know_both_sides_tell(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "dmqcache.bus.net")
    site, folder = Site(tmp_path), tmp_path / "other"
    folder.mkdir()

    async def main() -> None:
        first = {"server_address": site.uri("127.0.0.11"), **site.files("127.0.0.11")}
        bad = {
            "server_address": site.uri("127.0.0.13"),
            "notification_address": site.uri("127.0.0.11"),
            **Site(folder).files("127.0.0.13"),
            "tls_ca": first["tls_ca"],
        }
        async with nodes(first, bad) as (_, two):

            def trouble() -> str:
                return "".join(row.trouble for row in two.node_rows() if not row.local)

            await until(lambda: "it may not accept this node's certificate" in trouble())

    asyncio.run(main())
    assert [
        line
        for line in caplog.messages
        if "which connects to this node, failed: its certificate is of" in line
    ]
    assert [line for line in caplog.messages if "no connection to 127.0.0.11" in line]


def test_nodes_of_three_transports_share_their_tables(tmp_path: Path) -> None:
    site = Site(tmp_path)

    def options(host: str, transport: str) -> dict[str, Any]:
        # UDP and TCP share a port, TLS has one of its own beside them.
        plain = [f"sip:{host}:{site.port}", f"sip:{host}:{site.port};transport=tcp"]
        secure = f"sip:{host}:{site.port + 1};transport=tls"
        own = {"udp": plain[0], "tcp": plain[1], "tls": secure}[transport]
        return {"server_address": own, "listen_address": [*plain, secure], **site.files(host)}

    async def main() -> None:
        first = options("127.0.0.11", "udp")
        second = options("127.0.0.12", "tcp") | {"notification_address": first["server_address"]}
        third = options("127.0.0.13", "tls") | {"notification_address": first["server_address"]}
        async with nodes(first, second, third) as made:
            await until(lambda: all(len(node.bus.active_nodes()) == 2 for node in made))
            for number, node in enumerate(made):
                node.table("t")[f"key{number}"] = "value"
            await until(lambda: all(len(node.table("t")) == 3 for node in made))

    asyncio.run(main())


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_who_is_not_listed_is_no_node_and_is_not_met_by_hearsay(transport: str) -> None:
    port = free_port()

    def uri(host: str) -> str:
        return f"sip:{host}:{port}" + ("" if transport == "udp" else f";transport={transport}")

    async def main() -> None:
        one = {"server_address": uri("127.0.0.11"), "allow": ["127.0.0.12/31"]}
        open_ = {"server_address": uri("127.0.0.12"), "notification_address": uri("127.0.0.11")}
        stranger = {
            "server_address": uri("127.0.0.20"),
            "notification_address": [uri("127.0.0.11"), uri("127.0.0.12")],
        }
        async with nodes(one, open_, stranger) as (strict, friend, unknown):
            await until(lambda: len(friend.bus.active_nodes()) == 2 and strict.bus.active_nodes())
            friend.table("t")["a"] = "1"
            await until(lambda: strict.table("t").get("a") == unknown.table("t").get("a") == "1")
            await until(lambda: strict.bus.counters.drops["node_not_allowed"])
            await until(lambda: transport == "udp" or strict.bus.counters.drops["not_allowed"])
            assert [node.uri.host for node in strict.bus.active_nodes()] == ["127.0.0.12"]

    asyncio.run(main())


def test_files_that_are_no_certificate_stop_the_start_with_one_line(tmp_path: Path) -> None:
    site = Site(tmp_path)
    files = site.files("127.0.0.11")
    files["tls_key"].write_text("nonsense")

    async def main() -> None:
        node = CacheNode(server_address=site.uri("127.0.0.11"), **files)
        with pytest.raises(OSError, match="not a certificate and its key in PEM"):
            await node.start()

    asyncio.run(main())


def test_clients_come_in_by_every_door_of_a_node(tmp_path: Path) -> None:
    site = Site(tmp_path)
    (tmp_path / "password").write_text("secret")
    files = site.files("127.0.0.11")
    doors = {
        "client_tls_address": f"127.0.0.11:{free_port('127.0.0.11')}",
        "client_tls_certificate": files["tls_certificate"],
        "client_tls_key": files["tls_key"],
        "client_socket": tmp_path / "socket",
        "client_password_file": tmp_path / "password",
    }

    def ask() -> None:
        host, port = doors["client_tls_address"].split(":")
        secure = redis.Redis(host, int(port), password="secret", ssl=True, ssl_ca_certs=str(files["tls_ca"]))
        local = redis.Redis(unix_socket_path=str(doors["client_socket"]), password="secret")
        with secure, local:
            secure.set("a", "1")
            assert local.get("a") == b"1"

    async def main() -> None:
        async with nodes({"server_address": site.uri("127.0.0.11", "udp"), **doors}) as (node,):
            await asyncio.to_thread(ask)
            assert node.bus.counters.served_certificate_expires is not None
            node.reload()
        assert not (tmp_path / "socket").exists()

    asyncio.run(main())


def test_nodes_with_a_key_share_their_tables_and_take_a_new_one_while_they_run(tmp_path: Path) -> None:
    port = free_port()
    files = [tmp_path / f"bus{number}.key" for number in range(2)]
    old, new = write_key(b"o" * KEY_BYTES), write_key(b"n" * KEY_BYTES)

    def write(*texts: str) -> None:
        for file in files:
            file.touch(0o600)
            file.write_text("\n".join(texts))

    def options(host: str, file: Path) -> dict[str, Any]:
        first = f"sip:127.0.0.11:{port}"
        return {
            "server_address": f"sip:{host}:{port}",
            "notification_address": first,
            "bus_key_file": file,
        }

    async def main() -> None:
        write(old)
        first, second = options("127.0.0.11", files[0]), options("127.0.0.12", files[1])
        stranger = options("127.0.0.13", files[0]) | {"bus_key_file": None}
        async with nodes(first, second) as (one, two), nodes(stranger) as (three,):
            await until(lambda: one.bus.active_nodes() and two.bus.active_nodes())
            for number, ring in enumerate([(old, new), (new, old), (new,)]):
                write(*ring)
                one.reload()
                two.reload()
                names = {Key(b"o" * KEY_BYTES).name, Key(b"n" * KEY_BYTES).name}
                wanted = read_keys("\n".join(ring))
                await until(lambda: all(n.bus.guard.signer.ring == wanted for n in (one, two)))  # noqa: B023
                one.table("t")[f"key{number}"] = "value"
                await until(lambda: two.table("t").get(f"key{number}") == "value")  # noqa: B023
                assert {key.name for key in wanted.keys} <= names
            await until(lambda: [row.key for row in three.node_rows() if not row.local] == ["wanted"])
            await until(lambda: [row.status for row in one.node_rows()] == ["active", "active", "refused"])
            assert [row.key for row in one.node_rows()] == ["yes", "yes", "no"]
            assert not len(three.table("t"))

    asyncio.run(main())


def test_a_key_file_that_holds_none_stops_the_start_with_one_line(tmp_path: Path) -> None:
    async def main() -> None:
        node = CacheNode(server_address="sip:127.0.0.11", bus_key_file=tmp_path / "none")
        with pytest.raises(OSError, match=r"bus_key_file .*: No such file"):
            await node.start()

    asyncio.run(main())
