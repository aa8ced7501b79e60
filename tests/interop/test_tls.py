"""TLS between dmqcache and the `tls` module of real Kamailio nodes, configured as docs/operations.md has it.

Certificates are required and verified on both sides. Nodes of several transports are on one bus.
"""

import re
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.interop.daemon import wait_until
from tests.interop.dmqcache_node import DmqcacheNode
from tests.interop.kamailio import Kamailio
from tests.interop.lineups import LINEUPS, each_lineup
from tests.interop.releases import Release

pytestmark = [pytest.mark.interop, each_lineup]

ROOT = Path(__file__).resolve().parents[2]
NET = "127.0.37."
TIMEOUT_S = 30.0


def documented(language: str) -> str:
    """The block of that language in the section on TLS."""
    section = (ROOT / "docs" / "operations.md").read_text().partition("\n### TLS on the bus\n")[2]
    found = re.search(rf"```{language}\n(.*?)```", section, re.DOTALL)
    assert found is not None
    return found[1]


@dataclass
class Site:
    """A CA, and nodes with its certificates, configured by the documentation's words."""

    folder: Path
    ca: trustme.CA

    def certificate(self, host: str, ca: trustme.CA | None = None) -> Path:
        folder = self.folder / host
        folder.mkdir(exist_ok=True)
        issued = (ca or self.ca).issue_cert(host)
        issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
        issued.private_key_pem.write_to_path(folder / "key.pem")
        (ca or self.ca).cert_pem.write_to_path(folder / "ca.pem")
        return folder

    def kamailio(self, host: str, release: Release, transport: str, seed: str) -> Kamailio:
        text = documented("kamailio").replace("/etc/kamailio", str(self.certificate(host)))
        text = text.replace("10.0.0.13", host)
        if transport != "tls":
            text = "".join(line for line in text.splitlines(True) if '"dmq"' not in line)
            seeds = [seed]
        else:
            text = re.sub(r'("notification_address", ")[^"]*', rf"\g<1>{seed}", text)
            seeds = []
        mixed = len({one.line for one in LINEUPS["mixed"].releases}) > 1
        return Kamailio(
            host, release=release, transport=transport, seeds=seeds, extra_cfg=text, told_of_unanswered=mixed
        )

    def dmqcache(
        self, host: str, transport: str, seed: str = "", ca: trustme.CA | None = None
    ) -> DmqcacheNode:
        text = documented("toml").replace("/etc/dmqcache", str(self.certificate(host, ca)))
        options: dict[str, Any] = tomllib.loads(text)
        own = f"sip:{host}:5061;transport=tls"
        assert set(options) == {
            "server_address",
            "notification_address",
            "tls_certificate",
            "tls_key",
            "tls_ca",
        }
        lines = [f'{name} = "{options[name]}"' for name in ("tls_certificate", "tls_key", "tls_ca")]
        plain = [f"sip:{host}:5060", f"sip:{host}:5060;transport=tcp"]
        lines.append(f"listen_address = {[own, *plain]}")
        file = self.folder / host / "node.toml"
        file.write_text("\n".join(lines))
        port = 5061 if transport == "tls" else 5060
        seeds = [seed] if seed else []
        return DmqcacheNode(
            host, port, transport=transport, seeds=seeds, extra=["--config", str(file), "--log-level", "info"]
        )


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path, trustme.CA())


Nodes = list[Kamailio | DmqcacheNode]


@pytest.fixture
def running() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def start(running: ExitStack, nodes: Nodes) -> None:
    for node in nodes:
        running.callback(node.close)
        node.start()
    for node in nodes:
        node.wait_nodes([one.uri for one in nodes], TIMEOUT_S)


def everywhere(nodes: Nodes, key: str, value: str | int) -> None:
    wait_until(
        lambda: all(node.get("users", key) == value for node in nodes),
        TIMEOUT_S,
        lambda: (
            f"{key} everywhere: {[node.get('users', key) for node in nodes]}"
            + "\n".join(node.diagnosis() for node in nodes)
        ),
    )


def written_from_each_side(nodes: Nodes) -> None:
    for number, node in enumerate(nodes):
        node.set("users", f"from {node.host}", number)
        node.set("users", f"long from {node.host}", "y" * 20_000)
        everywhere(nodes, f"from {node.host}", number)
        everywhere(nodes, f"long from {node.host}", "y" * 20_000)


def test_a_bus_over_tls_both_ways(lineup: str, site: Site, running: ExitStack) -> None:
    """Certificates are required and verified by all."""
    releases = LINEUPS[lineup].releases
    first = f"sip:{NET}11:5061;transport=tls"
    nodes: Nodes = [site.dmqcache(f"{NET}11", "tls"), site.dmqcache(f"{NET}12", "tls", first)]
    nodes += [
        site.kamailio(f"{NET}{number}", release, "tls", first) for number, release in enumerate(releases, 13)
    ]
    start(running, nodes)
    written_from_each_side(nodes)
    # A Kamailio that is started anew gets all again, and is heard again.
    nodes[2].kill()
    nodes[2].restart()
    for node in nodes:
        node.wait_nodes([one.uri for one in nodes], TIMEOUT_S)
    everywhere(nodes, f"from {NET}11", 0)
    nodes[2].set("users", "again", "1")
    everywhere(nodes, "again", "1")


def test_nodes_of_three_transports_on_one_bus(lineup: str, site: Site, running: ExitStack) -> None:
    releases = LINEUPS[lineup].releases
    first = f"sip:{NET}11:5060"
    nodes: Nodes = [site.dmqcache(f"{NET}11", "udp"), site.dmqcache(f"{NET}12", "tls", first)]
    for number, transport in enumerate(("tls", "tcp", "udp"), 13):
        release = releases[number % len(releases)]
        nodes.append(site.kamailio(f"{NET}{number}", release, transport, first))
    start(running, nodes)
    written_from_each_side(nodes)


def test_who_has_a_certificate_of_another_ca_gets_no_word_in(
    lineup: str, site: Site, running: ExitStack
) -> None:
    release = LINEUPS[lineup].releases[0]
    first = f"sip:{NET}11:5061;transport=tls"
    nodes: Nodes = [site.dmqcache(f"{NET}11", "tls"), site.kamailio(f"{NET}13", release, "tls", first)]
    start(running, nodes)
    stranger = site.dmqcache(f"{NET}14", "tls", first, trustme.CA())
    running.callback(stranger.close)
    stranger.start()
    stranger.set("users", "stranger", "1")
    wait_until(
        lambda: "no connection to" in stranger.diagnosis() or "tls" in stranger.diagnosis(),
        TIMEOUT_S,
        stranger.diagnosis,
    )
    nodes[0].set("users", "friend", "1")
    everywhere(nodes, "friend", "1")
    assert stranger.get("users", "friend") is None
    assert all(node.get("users", "stranger") is None for node in nodes)
    for node in nodes:
        node.wait_nodes([one.uri for one in nodes], TIMEOUT_S)
