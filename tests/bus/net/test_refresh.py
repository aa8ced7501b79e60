"""Files and names that change while a node runs."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
import trustme

from dmqcache.bus.allow import AllowList
from dmqcache.bus.bus_counters import BusCounters
from dmqcache.bus.net import lookout
from dmqcache.bus.net.key_file import KeyFile
from dmqcache.bus.net.refresh import Refresher
from dmqcache.bus.net.tls import TlsContexts, TlsOptions, load
from dmqcache.bus.net.transport import TransportOptions, Transports
from dmqcache.bus.net.udp import UdpOptions
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.bus.trust.keys import KEY_BYTES, Key, KeyRing, write_key
from tests.waiting import until


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookout, "INTERVAL_SECONDS", 0.01)


def written(folder: Path, name: str) -> TlsOptions:
    ca = trustme.CA()
    options = TlsOptions(folder / "cert", folder / "key", folder / "ca")
    issued = ca.issue_cert(name)
    issued.cert_chain_pems[0].write_to_path(options.certificate)
    issued.private_key_pem.write_to_path(options.key)
    ca.cert_pem.write_to_path(options.ca)
    return options


def transports(allow: AllowList, tls: TlsContexts | None) -> Transports:
    options = TransportOptions(udp=UdpOptions(allow=allow), tls=tls)
    listen = [NodeURI("127.0.0.11", 0)]
    return Transports(listen, lambda *_: None, lambda *_: None, BusCounters(), options)


def test_new_certificate_files_are_read_and_broken_ones_change_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options = written(tmp_path, "127.0.0.11")
    told: list[TlsContexts] = []

    async def main() -> None:
        sockets = transports(AllowList(), load(options))
        await sockets.start()
        refresher = Refresher(sockets, AllowList(), options, told.append)
        await refresher.start()
        assert not told
        options.key.write_text("nonsense")
        await until(lambda: "the former certificate goes on" in caplog.text)
        assert not told
        written(tmp_path, "127.0.0.11")
        await until(lambda: told)
        assert caplog.text.count("nonsense") == 0
        await refresher.close()
        await sockets.close()

    asyncio.run(main())


def test_it_looks_at_once_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookout, "INTERVAL_SECONDS", 3600.0)
    options = written(tmp_path, "127.0.0.11")
    told: list[TlsContexts] = []

    async def main() -> None:
        sockets = transports(AllowList(), load(options))
        refresher = Refresher(sockets, AllowList(), options, told.append)
        await refresher.start()
        refresher.ask()
        await until(lambda: told)
        await refresher.close()
        await sockets.close()

    asyncio.run(main())


def test_names_are_asked_again_and_one_that_fails_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    answers: dict[str, list[str]] = {"node.example": ["127.0.0.12"]}
    asked: list[str] = []

    async def getaddrinfo(name: str, port: object, **_: object) -> list[object]:
        asked.append(name)
        if not answers[name]:
            raise socket.gaierror("no such name")
        return [(2, 2, 17, "", (host, 0)) for host in answers[name]]

    async def main() -> None:
        allow = AllowList(["node.example"])
        sockets = transports(allow, None)
        await sockets.start()
        asyncio.get_running_loop().getaddrinfo = getaddrinfo  # type: ignore[assignment, method-assign]
        refresher = Refresher(sockets, allow, None)
        await refresher.start()
        assert allow.allows("127.0.0.12")
        answers["node.example"] = []
        before = len(asked)
        await until(lambda: len(asked) > before + 3)
        assert caplog.text.count("does not resolve") == 1
        assert allow.allows("127.0.0.12")
        answers["node.example"] = ["127.0.0.13"]
        await until(lambda: allow.allows("127.0.0.13"))
        assert not allow.allows("127.0.0.12")
        await refresher.close()
        await sockets.close()

    asyncio.run(main())


def test_where_nothing_can_change_nobody_looks() -> None:
    async def main() -> None:
        sockets = transports(AllowList(), None)
        before = asyncio.all_tasks()
        refresher = Refresher(sockets, AllowList(), None)
        await refresher.start()
        assert asyncio.all_tasks() == before
        await refresher.close()
        await sockets.close()

    asyncio.run(main())


def test_a_new_bus_key_is_read_and_a_broken_one_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    path = tmp_path / "bus.key"
    path.write_text(write_key(b"o" * KEY_BYTES))
    path.chmod(0o600)
    file, told = KeyFile(path), list[KeyRing]()
    file.read()

    async def main() -> None:
        refresher = Refresher(
            transports(AllowList(), None), AllowList(), None, key_file=file, use_keys=told.append
        )
        await refresher.start()
        assert not told
        path.write_text("nonsense")
        await until(lambda: "the former bus key goes on" in caplog.text)
        assert not told
        path.write_text(write_key(b"n" * KEY_BYTES))
        await until(lambda: told)
        await refresher.close()

    asyncio.run(main())
    assert told == [KeyRing((Key(b"n" * KEY_BYTES),))]
    assert told[0].signing.name in caplog.text and write_key(b"n" * KEY_BYTES)[-20:] not in caplog.text


def test_names_of_further_lists_are_resolved_too() -> None:
    kamailio = AllowList(["localhost"])

    async def main() -> None:
        sockets = transports(AllowList(), None)
        refresher = Refresher(sockets, AllowList(), None, further=(kamailio,))
        await refresher.start()
        await refresher.close()

    asyncio.run(main())
    assert kamailio.allows("127.0.0.1") and not kamailio.allows("127.0.0.2")
