"""Messages over TLS: both sides show certificates, names are held, new files cut nobody off."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from dmqcache.bus.net.handshake_words import ENDED_WORDLESS
from dmqcache.bus.net.tcp import TcpOptions
from dmqcache.bus.net.tls import TlsContexts, TlsOptions, load
from dmqcache.bus.net.transport import TransportOptions
from dmqcache.bus.sip.uri import Endpoint, NodeURI
from tests.bus.net.loops import Loop, both_loops, run, turns
from tests.bus.net.tcp_sides import sip
from tests.bus.net.test_transport import Node
from tests.waiting import until


class Authority:
    """A CA and the files of its nodes."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self._folder = folder

    def files(self, name: str, expired: bool = False) -> TlsOptions:
        folder = self._folder / f"files-{name}"
        folder.mkdir()
        options = TlsOptions(folder / "cert", folder / "key", folder / "ca")
        now = datetime.now(UTC)
        ends = now + timedelta(-1 if expired else 30)
        issued = self._ca.issue_cert(name, not_before=now - timedelta(9), not_after=ends)
        issued.cert_chain_pems[0].write_to_path(options.certificate)
        issued.private_key_pem.write_to_path(options.key)
        self._ca.cert_pem.write_to_path(options.ca)
        return options

    def contexts(self, *names: str, require_certificate: bool = True) -> TlsContexts:
        folder = self._folder / "-".join(names).replace(":", "_")
        folder.mkdir(exist_ok=True)
        options = TlsOptions(folder / "cert", folder / "key", folder / "ca", require_certificate)
        issued = self._ca.issue_cert(*names)
        issued.cert_chain_pems[0].write_to_path(options.certificate)
        issued.private_key_pem.write_to_path(options.key)
        self._ca.cert_pem.write_to_path(options.ca)
        return load(options)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def started(
    host: str,
    contexts: TlsContexts,
    names: dict[str, list[str]] | None = None,
    options: TcpOptions | None = None,
) -> Node:
    known = names or {}
    tcp = options or TcpOptions(names=lambda endpoint: known.get(endpoint.host, ()))
    node = Node(NodeURI(host, 0, "tls"), options=TransportOptions(tcp=tcp, tls=contexts))
    await node.transports.start()
    return node


async def closed(*nodes: Node) -> None:
    for node in nodes:
        await node.transports.close()


@both_loops
def test_messages_go_both_ways_over_one_connection(loop: Loop, authority: Authority) -> None:
    async def main() -> None:
        one = await started("127.0.0.11", authority.contexts("127.0.0.11"))
        two = await started("127.0.0.12", authority.contexts("127.0.0.12"))
        [there] = two.transports.bound
        assert there.transport == "tls"
        one.transports.send(sip(b"question" * 10_000), there)
        await until(lambda: two.received)
        body, source = two.received[0]
        assert body == sip(b"question" * 10_000)
        assert source.transport == "tls"
        two.transports.send(sip(b"answer"), source)
        await until(lambda: one.received)
        assert one.received == [(sip(b"answer"), there)]
        assert two.transports.connected(source)
        assert two.transports.covers(source, "127.0.0.11")
        assert not two.transports.covers(source, "127.0.0.12")
        assert one.failed == two.failed == []
        await closed(one, two)

    run(loop, main())


@both_loops
def test_who_answers_must_be_who_was_called(loop: Loop, authority: Authority) -> None:
    async def main() -> None:
        one = await started("127.0.0.11", authority.contexts("127.0.0.11"))
        two = await started("127.0.0.12", authority.contexts("127.0.0.99"))
        [there] = two.transports.bound
        one.transports.send(sip(b"question"), there)
        await until(lambda: one.failed)
        assert one.failed == [(there, "certificate")]
        assert one.counters.drops["tls_wrong_name"] == 1
        assert two.received == []
        await closed(one, two)

    run(loop, main())


def test_a_node_may_show_any_name_by_which_it_is_known(authority: Authority) -> None:
    async def main() -> None:
        one = await started("127.0.0.11", authority.contexts("127.0.0.11"), {"127.0.0.12": ["two.example"]})
        two = await started("127.0.0.12", authority.contexts("two.example"))
        one.transports.send(sip(b"question"), two.transports.bound[0])
        await until(lambda: two.received)
        await closed(one, two)

    asyncio.run(main())


@both_loops
def test_a_node_of_another_ca_gets_no_word_in(loop: Loop, authority: Authority, tmp_path: Path) -> None:
    async def main() -> None:
        (tmp_path / "other").mkdir()
        one = await started("127.0.0.11", Authority(tmp_path / "other").contexts("127.0.0.11"))
        two = await started("127.0.0.12", authority.contexts("127.0.0.12"))
        [there] = two.transports.bound
        one.transports.send(sip(b"question"), there)
        await until(lambda: one.failed)
        assert two.received == []
        await closed(one, two)

    run(loop, main())


@pytest.mark.parametrize("fault", ["of another CA", "expired"])
@both_loops
def test_both_sides_say_once_what_is_wrong_with_a_certificate(
    loop: Loop, fault: str, authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The one said that it is alone, and the other nothing."""
    told: list[tuple[str, str]] = []

    async def main() -> None:
        folder = tmp_path / "bad"
        folder.mkdir()
        bad = (authority if fault == "expired" else Authority(folder)).files("127.0.0.11", fault == "expired")
        # It knows the others' CA; they do not know its own.
        good = authority.files("127.0.0.12")
        options = TcpOptions(tls_failed=lambda endpoint, why: told.append((endpoint.host, why)))
        one = await started("127.0.0.11", load(replace(bad, ca=good.ca)), options=options)
        two = await started("127.0.0.12", load(good))
        [there] = two.transports.bound

        def tried() -> bool:
            one.transports.send(sip(b"question"), there)
            return two.counters.drops["tls_failed"] >= 4 and len(told) >= 3

        await until(tried)
        assert two.received == []
        await closed(one, two)

    with caplog.at_level("INFO", "dmqcache.bus.net"):
        run(loop, main())
    here = ENDED_WORDLESS
    there = {
        "expired": "its certificate has expired",
        "of another CA": "its certificate is of a CA that is not in",
    }[fault]
    lines = caplog.messages
    assert [line for line in lines if line.startswith("no connection to 127.0.0.12") and here in line] == [
        line for line in lines if "no connection to" in line
    ]
    assert [
        line for line in lines if "127.0.0.11, which connects to this node, failed" in line and there in line
    ]
    assert len(lines) == 2, lines
    assert {host for host, _ in told} == {"127.0.0.12"} and all(why.startswith(here) for _, why in told)


def test_who_calls_itself_otherwise_than_its_certificate_is_said_once(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        one = await started("127.0.0.11", authority.contexts("127.0.0.99"))
        two = await started("127.0.0.12", authority.contexts("127.0.0.12"))
        one.transports.send(sip(b"question"), two.transports.bound[0])
        await until(lambda: two.received)
        for _ in range(10):
            assert not two.transports.covers(two.received[0][1], "127.0.0.11")
        await closed(one, two)

    asyncio.run(main())
    (line,) = caplog.messages
    assert line.startswith("nothing is taken from 127.0.0.11, which calls itself 127.0.0.11: ")
    assert line.endswith("its certificate speaks for 127.0.0.99")


def test_without_a_certificate_nobody_is_taken_unless_that_is_allowed(authority: Authority) -> None:
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE

    async def main() -> None:
        strict = await started("127.0.0.12", authority.contexts("127.0.0.12"))
        reader, writer = await asyncio.open_connection(*strict.transports.bound[0][1:], ssl=client)
        writer.write(sip(b"question"))
        async with asyncio.timeout(10):
            with suppress(OSError):  # the alert, where it is told before the end
                assert await reader.read() == b""
        assert strict.received == []
        lenient = await started("127.0.0.13", authority.contexts("127.0.0.13", require_certificate=False))
        _, writer = await asyncio.open_connection(*lenient.transports.bound[0][1:], ssl=client)
        writer.write(sip(b"question"))
        await until(lambda: lenient.received)
        assert not lenient.transports.covers(lenient.received[0][1], "127.0.0.1")
        writer.close()
        await closed(strict, lenient)

    asyncio.run(main())


@both_loops
def test_new_files_count_for_new_connections_and_cut_none(loop: Loop, authority: Authority) -> None:
    async def main() -> None:
        one = await started("127.0.0.11", authority.contexts("127.0.0.11"))
        two = await started("127.0.0.12", authority.contexts("127.0.0.12"))
        three = await started("127.0.0.13", authority.contexts("127.0.0.13"))
        [there] = two.transports.bound
        one.transports.send(sip(b"before"), there)
        await until(lambda: two.received)
        await two.transports.use_tls(authority.contexts("127.0.0.77"))
        one.transports.send(sip(b"after"), there)
        await until(lambda: len(two.received) == 2)
        assert two.received[0][1] == two.received[1][1], "the same connection"
        three.transports.send(sip(b"new"), there)
        await until(lambda: three.failed)
        assert three.failed == [(there, "certificate")]
        await closed(one, two, three)

    run(loop, main())


def test_without_tls_files_a_tls_endpoint_is_said_to_be_unsupported(authority: Authority) -> None:
    async def main() -> None:
        with pytest.raises(OSError, match="TLS needs a certificate"):
            await Node(NodeURI("127.0.0.11", 0, "tls")).transports.start()
        plain = Node(NodeURI("127.0.0.11", 0))
        await plain.transports.start()
        plain.transports.send(sip(b"x"), Endpoint("tls", "127.0.0.12", 5061))
        await turns()
        assert plain.failed == [(Endpoint("tls", "127.0.0.12", 5061), "unsupported")]
        await closed(plain)

    asyncio.run(main())
