"""Redis clients and Kamailio scripts of three releases on one DMQ channel; and what any node changes is told
to the subscribers of each dmqcache node, once.
"""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import redis

from tests.interop.daemon import wait_until
from tests.interop.dmqcache_node import DmqcacheNode
from tests.interop.kamailio import Kamailio
from tests.interop.releases import RELEASES

pytestmark = pytest.mark.interop

JOIN_TIMEOUT_S = 30.0
HEARD_TIMEOUT_S = 30.0
WRITES = 60
OPTIONS = ("--channel", "alerts", "--notify-keyspace-events", "KEA")


class Ear:
    """What one subscriber of a node has heard."""

    def __init__(self, node: DmqcacheNode, *names: str) -> None:
        client = self._client = redis.Redis(host=node.host, port=node.client_port, decode_responses=True)
        self._subscription = client.pubsub(ignore_subscribe_messages=True)
        self._subscription.psubscribe(*names)
        self.heard: list[tuple[str, str]] = []
        wait_until(lambda: client.pubsub_numpat() > 0, HEARD_TIMEOUT_S)

    def listen(self) -> list[tuple[str, str]]:
        while (message := self._subscription.get_message(timeout=0.05)) is not None:
            self.heard.append((message["channel"], message["data"]))
        return self.heard

    def told(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.listen()]


@pytest.fixture(scope="module")
def cluster() -> Iterator[tuple[list[DmqcacheNode], list[Kamailio]]]:
    with ExitStack() as stack:
        hosts = [f"127.0.85.{number}" for number in range(11, 16)]
        uris = [f"sip:{host}:5060" for host in hosts]
        nodes = [
            DmqcacheNode(host, seeds=[uri for uri in uris if uri != f"sip:{host}:5060"], extra=OPTIONS)
            for host in hosts[:2]
        ]
        kamailios = [
            Kamailio(
                host,
                release=release,
                seeds=[uri for uri in uris if uri != f"sip:{host}:5060"],
                told_of_unanswered=True,
                channel="alerts",
            )
            for host, release in zip(hosts[2:], RELEASES.values(), strict=True)
        ]
        for node in (*nodes, *kamailios):
            stack.enter_context(node)
        for node in (*nodes, *kamailios):
            node.wait_nodes(uris, JOIN_TIMEOUT_S)
        yield nodes, kamailios


def test_scripts_are_heard_and_hear(cluster: tuple[list[DmqcacheNode], list[Kamailio]]) -> None:
    nodes, kamailios = cluster
    ears = [Ear(node, "dmq:alerts") for node in nodes]
    for ear in ears:
        for kamailio in kamailios:
            said = f"of {kamailio.host}"
            wait_until(
                lambda ear=ear, said=said: sum(one["body"].endswith(said) for one in ear.told()) >= 3,  # type: ignore[misc]
                HEARD_TIMEOUT_S,
                lambda ear=ear, said=said: f"{said}: {ear.heard}",  # type: ignore[misc]
            )
        told = ear.told()
        assert max(Counter(one["body"] for one in told).values()) == 1
        assert all(one["body"].endswith(one["node"].split(":")[1]) for one in told)
        assert {one["content_type"] for one in told} == {"text/plain"}

    nodes[0].call("users", "PUBLISH", "dmq:alerts", "hello all")
    for kamailio in kamailios:
        heard = f"heard-{kamailio.host}"
        wait_until(lambda k=kamailio, heard=heard: k.get("users", heard) == "hello all", HEARD_TIMEOUT_S)  # type: ignore[misc]
    for ear in ears:
        wait_until(lambda ear=ear: any(one["body"] == "hello all" for one in ear.told()), HEARD_TIMEOUT_S)  # type: ignore[misc]
        (hello,) = [one for one in ear.told() if one["body"] == "hello all"]
        assert hello["node"] == nodes[0].uri

    one, two = kamailios[0], kamailios[1]
    assert nodes[1].call("users", "DMQ.SEND", "alerts", one.uri, "hello you") == 200
    wait_until(lambda: one.get("users", f"heard-{one.host}") == "hello you", HEARD_TIMEOUT_S)
    assert two.get("users", f"heard-{two.host}") == "hello all"
    answers = nodes[0].call("users", "DMQ.BROADCAST", "alerts", "bye")
    assert {node.decode(): code for node, code in answers.items()} == {
        node.uri: 200 for node in (nodes[1], *kamailios)
    }


def test_what_any_node_changes_is_told_once_on_each_dmqcache_node(
    cluster: tuple[list[DmqcacheNode], list[Kamailio]],
) -> None:
    nodes, kamailios = cluster
    ears = [Ear(node, "__keyevent@0__:*") for node in nodes]
    expected = Counter[tuple[str, str]]()
    for writer in (*nodes, *kamailios):
        for number in range(WRITES):
            key = f"{writer.host}-{number}"
            writer.set("users", key, f"v{number}")
            expected["__keyevent@0__:set", key] += 1
            if number % 3 == 0:
                wait_until(lambda key=key: all(node.get("users", key) for node in nodes), HEARD_TIMEOUT_S)  # type: ignore[misc]
                writer.delete("users", key)
                expected["__keyevent@0__:del", key] += 1
    for ear in ears:

        def heard(ear: Ear = ear) -> Counter[tuple[str, str]]:
            return Counter(one for one in ear.listen() if not one[1].startswith("heard-"))

        wait_until(
            lambda heard=heard: heard() == expected,  # type: ignore[misc]
            HEARD_TIMEOUT_S,
            lambda heard=heard: f"too often {heard() - expected}, missing {expected - heard()}",  # type: ignore[misc]
        )
    nodes[0].call("users", "FLUSHALL")
    for ear in ears:
        wait_until(lambda ear=ear: ("__keyevent@0__:flushdb", "") in ear.listen(), HEARD_TIMEOUT_S)  # type: ignore[misc]
        told = Counter(one for one in ear.heard if not one[1].startswith("heard-"))
        assert max(told.values()) == 1
