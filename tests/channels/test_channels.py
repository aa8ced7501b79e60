"""Publishing: plain channels to the other dmqcache nodes, those of the bus to every node; bounds of both."""

from __future__ import annotations

import json

import pytest

from dmqcache.bus.peer import Response
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.channels import channels as module
from dmqcache.channels.channels import MAX_CHANNELS, Channels
from tests.server.fakes import FakeBus

OTHER = NodeURI.parse("sip:127.0.0.12:5060")


class World:
    def __init__(self) -> None:
        self.bus = FakeBus()
        self.told: list[tuple[str, str]] = []
        self.heard: list[tuple[str, str]] = []
        self.channels = Channels(self.bus, lambda channel, body: self.told.append((channel, body)))
        self.channels.deliver_to(self._deliver)

    def _deliver(self, channel: str, body: str) -> int:
        self.heard.append((channel, body))
        return 3


def test_a_plain_channel_goes_to_clients_here_and_to_the_other_nodes() -> None:
    world = World()
    assert world.channels.publish("news", "\udcff") == 3
    assert world.heard == world.told == [("news", "\udcff")]
    assert world.bus.sent == []


def test_a_channel_of_the_bus_goes_to_every_node_once_and_to_clients_here() -> None:
    world = World()
    world.channels.declare("alerts", "application/json")
    assert world.channels.publish("dmq:alerts", "\udcff{}") == 3
    assert world.told == []
    assert world.bus.sent == [("alerts", b"\xff{}", "sip:127.0.0.12:5060", "application/json")]
    (heard,) = world.heard
    assert heard[0] == "dmq:alerts"
    assert json.loads(heard[1])["node"] == "sip:127.0.0.11:5060"


def test_one_node_is_sent_to_and_its_answer_told() -> None:
    world = World()
    world.channels.declare("alerts")
    answers: list[Response] = []
    world.channels.send("alerts", OTHER, "1", "", answers.append)
    world.channels.send("alerts", OTHER, "2", "a/b", answers.append)
    assert [sent[3] for sent in world.bus.sent] == ["text/plain", "a/b"]
    assert [one.status for one in answers] == [200, 200]
    with pytest.raises(ValueError, match="no other node of the bus"):
        world.channels.send("alerts", NodeURI.parse("sip:192.0.2.9:5060"), "1", "", answers.append)
    with pytest.raises(ValueError, match="no other node of the bus"):
        world.channels.send("alerts", world.bus.local.uri, "1", "", answers.append)
    with pytest.raises(ValueError, match="is no content type"):
        world.channels.send("alerts", OTHER, "1", "a\r\nb", answers.append)


def test_channels_must_be_declared_and_are_few_and_none_of_the_nodes_own() -> None:
    world = World()
    with pytest.raises(ValueError, match="--channel alerts"):
        world.channels.publish("dmq:alerts", "x")
    with pytest.raises(ValueError, match="taken"):
        world.channels.declare("htable")
    with pytest.raises(ValueError, match="is no channel"):
        world.channels.declare("a b")
    with pytest.raises(ValueError, match="no channel"):
        world.channels.receivers("a b")
    for number in range(MAX_CHANNELS):
        world.channels.declare(f"c{number}")
    world.channels.declare("c0", "a/b")
    assert world.channels.declared["c0"] == "a/b"
    with pytest.raises(ValueError, match="at most"):
        world.channels.declare("more")


def test_messages_are_no_longer_than_the_bus_takes_and_few_are_unanswered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    with pytest.raises(ValueError, match="at most 60000 bytes"):
        world.channels.publish("news", "x" * 60_000)
    assert world.heard == []
    world.channels.declare("alerts")
    monkeypatch.setattr(module, "MAX_UNANSWERED_BYTES", 5_000)
    for _ in range(9):
        world.channels.publish("dmq:alerts", "x")
    world.bus.answers = False
    for _ in range(2):
        world.channels.publish("dmq:alerts", "x")
    with pytest.raises(ValueError, match="not answered yet"):
        world.channels.publish("dmq:alerts", "x")
