"""A real Kamailio that answers, and yet is deaf or mute one way: each is named within a minute, and shown.

And the ways to find one: SRV records, a name of both IP versions, another notification channel.
"""

import json
from collections.abc import Iterator

import pytest

from tests.interop.daemon import wait_until
from tests.interop.dmqcache_node import DmqcacheNode
from tests.interop.kamailio import Kamailio
from tests.interop.netns import Network, run
from tests.interop.releases import RELEASES

pytestmark = pytest.mark.interop

NOTICE_TIMEOUT_S = 60.0
JOIN_TIMEOUT_S = 30.0
SEEN_TIMEOUT_S = 15.0
PING_S = 40
"""It lists this node again with its next ping: until then it must be seen twice that it does not."""
FURTHER = "198.18.85.111"
RECORDS = {
    ("_sip._udp.kam.example", "SRV"): ["10 1 5060 k1.kam.example."],
    ("k1.kam.example", "A"): ["198.18.85.11"],
    ("dual.example", "A"): ["198.18.85.11"],
    ("dual.example", "AAAA"): ["fd00:85::11"],
}
each_release = pytest.mark.parametrize("line", tuple(RELEASES))


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    with Network(("k1", "d1"), tag="oneway", number=85, records=RECORDS) as network:
        run("ip", "-n", network.namespace("k1"), "addr", "add", f"{FURTHER}/24", "dev", "eth0")
        yield network


def kamailio(network: Network, line: str, **options: object) -> Kamailio:
    return Kamailio(
        network.address("k1"),
        release=RELEASES[line],
        namespace=network.namespace("k1"),
        **options,  # type: ignore[arg-type]
    )


def dmqcache(network: Network, seed: str, *extra: str) -> DmqcacheNode:
    return DmqcacheNode(
        network.address("d1"),
        seeds=[seed],
        namespace=network.namespace("d1"),
        extra=["--http-address", f"{network.address('d1')}:9180", *extra],
    )


def trouble(node: DmqcacheNode) -> str:
    """What `dmqcache nodes` says of the other node."""
    rows = json.loads(node.command("nodes", "--json").stdout)
    return str(next((row["trouble"] for row in rows if not row["local"]), ""))


def wait_trouble(node: DmqcacheNode, words: str, kind: str) -> None:
    wait_until(
        lambda: words in trouble(node),
        NOTICE_TIMEOUT_S,
        lambda: f"{words!r} is said of it, not {trouble(node)!r}\n{node.diagnosis()}",
        poll=0.5,
    )
    assert node.metric("dmqcache_node_trouble", kind=kind) == 1
    assert words in node.http_get("/")[1]
    assert node.daemon.log.read_text().count(f" {words}") == 1, "said once in the log"


@each_release
def test_a_kamailio_without_the_route(network: Network, line: str) -> None:
    with kamailio(network, line, route=False) as other, dmqcache(network, other.uri) as node:
        wait_trouble(node, "answers 405 to node lists", "refuses_list")
        assert "dmq_handle_message()" in node.daemon.log.read_text()


@each_release
@pytest.mark.parametrize("told", [False, True])
def test_a_kamailio_that_sends_from_another_of_its_addresses(network: Network, line: str, told: bool) -> None:
    extra = f'listen=udp:{FURTHER}:5060\nmodparam("dmq","server_socket","udp:{FURTHER}:5060")\n'
    node_uri = f"sip:{network.address('d1')}:5060"
    options = ["--source-address", f"sip:{network.address('k1')}:5060={FURTHER}"] if told else []
    with (
        kamailio(network, line, extra_cfg=extra, seeds=[node_uri]) as other,
        dmqcache(network, other.uri, *options) as node,
    ):
        node.wait_nodes([node.uri, other.uri], JOIN_TIMEOUT_S)
        other.set_str("users", "alice", "here")
        if told:
            wait_until(lambda: node.get("users", "alice") == "here", SEEN_TIMEOUT_S, node.diagnosis)
            assert not trouble(node)
        else:
            wait_trouble(node, f"sends from {FURTHER}", "sends_from_elsewhere")


@each_release
def test_a_kamailio_that_holds_us_inactive(network: Network, line: str) -> None:
    """It could not reach us for a while, and does not send before its own next ping is answered."""
    extra = 'modparam("tm","fr_timer",3000)\n'
    with (
        kamailio(network, line, extra_cfg=extra, ping_interval=PING_S) as other,
        dmqcache(network, other.uri) as node,
    ):
        other.wait_nodes([node.uri, other.uri], JOIN_TIMEOUT_S)
        # Cut off in the midst of its initial sync it would still be a node that starts.
        node.wait_ready()
        with network.partition(("k1",), ("d1",)):
            wait_until(
                lambda: other.nodes().get(node.uri) in ("disabled", "not_active"),
                NOTICE_TIMEOUT_S,
                lambda: f"it gives us up: {other.nodes()}",
            )
        wait_trouble(node, "leaves this node out of its list", "unlisted")
        wait_until(lambda: not trouble(node), NOTICE_TIMEOUT_S, node.diagnosis, poll=0.5)
        other.set_str("users", "bob", "here")
        wait_until(lambda: node.get("users", "bob") == "here", SEEN_TIMEOUT_S, node.diagnosis)


@pytest.mark.parametrize("seed", ["sip:_sip._udp.kam.example", "sip:dual.example:5060"])
def test_a_notification_address_by_srv_and_by_a_name_of_both_ip_versions(network: Network, seed: str) -> None:
    with kamailio(network, "5.6") as other, dmqcache(network, seed) as node:
        node.wait_nodes([node.uri, other.uri], JOIN_TIMEOUT_S)
        assert set(node.nodes()) == {node.uri, other.uri}
        other.wait_nodes([node.uri, other.uri], JOIN_TIMEOUT_S)


@each_release
@pytest.mark.parametrize("told", [False, True])
def test_another_notification_channel(network: Network, line: str, told: bool) -> None:
    extra = 'modparam("dmq","notification_channel","peers")\n'
    options = ["--notification-channel", "peers"] if told else []
    with kamailio(network, line, extra_cfg=extra) as other, dmqcache(network, other.uri, *options) as node:
        if told:
            node.wait_nodes([node.uri, other.uri], JOIN_TIMEOUT_S)
            other.wait_nodes([node.uri, other.uri], JOIN_TIMEOUT_S)
        else:
            wait_trouble(node, "answers 404 to node lists", "refuses_list")
            wait_until(
                lambda: "serving alone" in node.daemon.log.read_text(), NOTICE_TIMEOUT_S, node.diagnosis
            )
            assert f"asked were {other.uri} (answers 404 to node lists)" in node.daemon.log.read_text()
