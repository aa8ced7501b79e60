"""The certificate that a node's servers show, and what happens when its files change."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
import redis
import trustme

from dmqcache.bus.net import lookout
from dmqcache.bus.net.handshakes import Handshakes
from dmqcache.bus.net.tls import TlsError
from dmqcache.cli.client import Client, NodeUnreachable
from dmqcache.served_tls import ServedFiles, ServedTls
from dmqcache.server.resp.server import Doors
from tests.server.fakes import FakeNode
from tests.server.serving import Serving, serving
from tests.waiting import until, wait_until

UNVERIFIED = r"^the certificate of the node at 127\.0\.0\.1:\d+ cannot be verified: "


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookout, "INTERVAL_SECONDS", 0.01)


class Site:
    """A CA, files of a server's certificate, and of a client's."""

    def __init__(self, folder: Path) -> None:
        self.ca, self.folder = trustme.CA(), folder
        self.ca.cert_pem.write_to_path(folder / "ca.pem")
        self.issue(self.ca)
        client = self.ca.issue_cert("client")
        client.private_key_and_cert_chain_pem.write_to_path(folder / "client.pem")

    def issue(self, ca: trustme.CA) -> None:
        issued = ca.issue_cert("127.0.0.1")
        issued.cert_chain_pems[0].write_to_path(self.folder / "cert.pem")
        issued.private_key_pem.write_to_path(self.folder / "key.pem")

    def files(self, client_ca: bool = False) -> ServedFiles:
        folder = self.folder
        return ServedFiles(folder / "cert.pem", folder / "key.pem", folder / "ca.pem" if client_ca else None)

    def client(self, server: Serving, **options: object) -> redis.Redis:
        host, port = server.tls_address
        return redis.Redis(host, port, ssl=True, ssl_ca_certs=str(self.folder / "ca.pem"), **options)  # type: ignore[arg-type]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def doors(tls: ServedTls) -> Doors:
    return Doors(tls_address=("127.0.0.1", 0), tls=Handshakes(tls.clients))


def test_redis_clients_over_tls_beside_others(site: Site) -> None:
    with serving(FakeNode(), doors=doors(ServedTls(site.files()))) as server:
        with closing(site.client(server)) as secure, closing(redis.Redis(*server.address)) as plain:
            secure.set("a", "1" * 100_000)
            assert plain.get("a") == b"1" * 100_000
            pipeline = secure.pipeline(transaction=False)
            for _ in range(2000):
                pipeline.incr("n")
            assert pipeline.execute()[-1] == 2000
        with (
            closing(redis.Redis(*server.tls_address)) as plain,
            pytest.raises((redis.ConnectionError, redis.exceptions.InvalidResponse)),
        ):
            plain.ping()


def test_where_a_ca_is_named_clients_show_a_certificate(site: Site) -> None:
    with serving(FakeNode(), doors=doors(ServedTls(site.files(client_ca=True)))) as server:
        certificate = str(site.folder / "client.pem")
        with closing(site.client(server, ssl_certfile=certificate, ssl_keyfile=certificate)) as client:
            assert client.ping()
        with closing(site.client(server)) as client, pytest.raises((redis.ConnectionError, ssl.SSLError)):
            client.ping()
        wait_until(lambda: server.clients == 0)


def test_new_files_count_for_new_connections_and_wrong_ones_change_nothing(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[float] = []

    async def main() -> None:
        tls = ServedTls(site.files(), told.append)
        assert len(told) == 1
        tls.start()
        (site.folder / "key.pem").write_text("nonsense")
        await until(lambda: "the former certificate goes on" in caplog.text)
        assert await answers(tls.http, site.folder / "ca.pem")
        other = trustme.CA()
        other.cert_pem.write_to_path(site.folder / "other.pem")
        site.issue(other)
        await until(lambda: len(told) >= 2)
        for context in (tls.http, tls.clients):
            assert await answers(context, site.folder / "other.pem")
            assert not await answers(context, site.folder / "ca.pem")
        before = len(told)
        tls.ask()
        await until(lambda: len(told) > before)
        await tls.close()

    asyncio.run(main())


async def answers(context: ssl.SSLContext, ca: Path) -> bool:
    """Whether a client that trusts only this CA gets through the handshake."""
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    address = server.sockets[0].getsockname()
    trusting = ssl.create_default_context(cafile=ca)
    try:
        _, writer = await asyncio.open_connection(*address, ssl=trusting)
    except ssl.SSLError:
        return False
    else:
        writer.close()
        return True
    finally:
        server.close()


def test_files_that_make_no_certificate_stop_the_start(site: Site) -> None:
    (site.folder / "key.pem").write_text("nonsense")
    with pytest.raises(TlsError, match="not a certificate and its key in PEM"):
        ServedTls(site.files())


def test_the_commands_speak_tls(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = str(site.folder / "client.pem")
    with serving(FakeNode(), doors=doors(ServedTls(site.files(client_ca=True)))) as server:
        address = "rediss://{}:{}".format(*server.tls_address)
        monkeypatch.delenv("DMQCACHE_TLS_CA", raising=False)
        with pytest.raises(NodeUnreachable, match=UNVERIFIED + r".*; name its CA's file in DMQCACHE_TLS_CA$"):
            Client(address)
        other = site.folder / "other.pem"
        trustme.CA().cert_pem.write_to_path(other)
        monkeypatch.setenv("DMQCACHE_TLS_CA", str(other))
        with pytest.raises(NodeUnreachable, match=UNVERIFIED + f".*; trusted is DMQCACHE_TLS_CA {other}$"):
            Client(address)
        monkeypatch.setenv("DMQCACHE_TLS_CA", str(site.folder / "ca.pem"))
        monkeypatch.setenv("DMQCACHE_TLS_CERTIFICATE", certificate)
        with Client(address) as client:
            client.set("a", "1")
            assert client.get("a") is not None


def test_a_node_that_speaks_no_tls_is_said_to_be_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DMQCACHE_TLS_CA", raising=False)
    with serving(FakeNode()) as server:
        address = "{}:{}".format(*server.address)
        with pytest.raises(
            NodeUnreachable, match=f"^no TLS with the node at {address}: it does not speak TLS$"
        ):
            Client(f"rediss://{address}")


@pytest.mark.interop
def test_redis_cli_over_tls(site: Site) -> None:
    with serving(FakeNode(), doors=doors(ServedTls(site.files()))) as server:
        host, port = server.tls_address
        words = ["redis-cli", "--tls", "--cacert", str(site.folder / "ca.pem"), "-h", host, "-p", str(port)]
        ran = subprocess.run([*words, "SET", "a", "1"], capture_output=True, text=True, check=True)
        assert ran.stdout == "OK\n"
