"""The list of nodes and its indexes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dmqcache.bus.node import MAX_NAMES, OWN_TAG, Life, Node, NodeList, NodeStatus, other_wire
from dmqcache.bus.sip.sip_message import SipRequest, parse_message
from dmqcache.bus.sip.uri import Endpoint, NodeURI, SipURI
from tests.bus.captures import VECTORS


def node(text: str, **fields: object) -> Node:
    uri = NodeURI.parse(text)
    return Node(uri=uri, endpoint=uri.endpoint, **fields)  # type: ignore[arg-type]


def node_list(*others: Node) -> NodeList:
    nodes = NodeList(node("127.0.0.11", local=True, status=NodeStatus.ACTIVE))
    for other in others:
        nodes.add(other)
    return nodes


def test_a_node_is_found_by_uri_name_and_endpoint() -> None:
    other = node("127.0.0.12", names={NodeURI("kam.example", 5060): None})
    nodes = node_list(other)
    assert nodes.get(NodeURI.parse("sip:127.0.0.12:5060")) is other
    assert nodes.get(NodeURI("kam.example", 5060)) is other
    assert nodes.at(Endpoint("udp", "127.0.0.12", 5060)) is other
    assert nodes.get(NodeURI.parse("127.0.0.99")) is None
    assert NodeURI.parse("127.0.0.12") in nodes and NodeURI.parse("127.0.0.99") not in nodes


def test_two_nodes_on_one_address_with_two_ports_stay_two() -> None:
    one, two = node("127.0.0.12:5060"), node("127.0.0.12:5070")
    nodes = node_list(one, two)
    assert nodes.get(one.uri) is one and nodes.get(two.uri) is two
    assert len(nodes) == 3


def test_the_same_uri_twice_is_refused() -> None:
    nodes = node_list(node("127.0.0.12"))
    with pytest.raises(ValueError, match="already"):
        nodes.add(node("127.0.0.12"))


def test_a_removed_node_is_found_no_more() -> None:
    other = node("127.0.0.12", names={NodeURI("kam.example", 5060): None})
    nodes = node_list(other)
    nodes.remove(other)
    nodes.remove(other)
    assert nodes.get(other.uri) is None and nodes.get(NodeURI("kam.example", 5060)) is None
    assert nodes.at(Endpoint("udp", "127.0.0.12", 5060)) is None
    assert not nodes.on_host("127.0.0.12")
    assert list(nodes) == [nodes.local]


def test_the_local_node_stays() -> None:
    nodes = node_list()
    nodes.remove(nodes.local)
    assert list(nodes) == [nodes.local]


def test_a_name_moves_to_the_node_that_has_it_now() -> None:
    name = NodeURI("kam.example", 5060)
    one, two = node("127.0.0.12"), node("127.0.0.13")
    nodes = node_list(one, two)
    nodes.name(one, name)
    nodes.name(two, name)
    assert nodes.get(name) is two and not one.names
    nodes.remove(one)
    assert nodes.get(name) is two


def test_its_own_uri_is_no_further_name() -> None:
    one = node("127.0.0.12")
    nodes = node_list(one)
    nodes.name(one, one.uri)
    assert not one.names


def test_nodes_are_found_by_their_host_whatever_the_port_and_without_our_own() -> None:
    one, two = node("127.0.0.12:5060"), node("127.0.0.12:5070")
    nodes = node_list(one, two)
    assert nodes.on_host("127.0.0.12") == [one, two] and not nodes.on_host("127.0.0.11")
    nodes.remove(one)
    assert nodes.on_host("127.0.0.12") == [two]
    nodes.remove(two)
    assert not nodes.on_host("127.0.0.12")


def test_the_names_of_one_node_are_bounded() -> None:
    one = node("127.0.0.12")
    nodes = node_list(one)
    names = [NodeURI(f"n{number}.example") for number in range(100)]
    for name in names:
        nodes.name(one, name)
    assert list(one.names) == names[-MAX_NAMES:] and len(nodes._names) == MAX_NAMES
    assert nodes.get(names[0]) is None and nodes.get(names[-1]) is one


def test_active_nodes_are_the_others_that_answer() -> None:
    up = node("127.0.0.12", status=NodeStatus.ACTIVE)
    down = [
        node(f"127.0.0.{20 + number}", status=status)
        for number, status in enumerate(status for status in NodeStatus if status != NodeStatus.ACTIVE)
    ]
    nodes = node_list(up, *down)
    assert nodes.active() == [up]
    assert nodes.others() == [up, *down]


def test_our_own_software_is_known_by_its_option_tag() -> None:
    assert node("127.0.0.12", supported=frozenset({OWN_TAG})).ours
    assert not node("127.0.0.12", user_agent="dmqcache (9.9)").ours


def test_a_node_of_this_software_that_speaks_another_wire_is_known_by_its_tag() -> None:
    assert other_wire(frozenset({"path", "dmqcache-1"})) == "dmqcache-1"
    for ours_or_foreign in ({OWN_TAG}, {OWN_TAG, "dmqcache-1"}, {"path"}, {"dmqcache-x"}, set[str]()):
        assert other_wire(frozenset(ours_or_foreign)) is None


def test_a_kamailio_was_restarted_when_its_call_ids_are_no_more_near_those_before() -> None:
    life = node("sip:10.0.0.1:5060").life
    for call_id in ("7df63fa2385a193d-12@10.0.0.1", "7df63fa2385a193c-14@10.0.0.1", "1234567@10.0.0.1"):
        assert not life.heard(call_id, 1.0)
    assert not life.heard("a-random-one", 2.0)
    assert (life.count, life.told_at) == (0, 1.0)
    assert life.heard("05f63fa2385a193c-14@10.0.0.1", 3.0)
    assert (life.count, life.told_at) == (1, 3.0)


def test_who_draws_each_call_id_anew_is_not_restarted_with_each() -> None:
    life = node("sip:10.0.0.1:5060").life
    said = [life.heard(f"{digit}df63fa2385a193d-12@10.0.0.1", digit) for digit in (1, 3, 5, 7, 2)]
    assert said == [False, True, False, False, False] and life.told_at == 3
    assert not life.heard("2df63fa2385a193e-12@10.0.0.1", 6)
    assert life.heard("4df63fa2385a193e-12@10.0.0.1", 7) and life.told_at == 7


#: What a Kamailio that has just started asks for first, by channel.
ASKS = {"usrloc": '{"action":3}', "dialog": '{"action":4}', "presence": '{"action":2}'}


@pytest.mark.parametrize("path", sorted((VECTORS / "peers").glob("*.jsonl")), ids=lambda path: path.stem)
def test_recorded_kamailios_were_restarted_when_they_ask_for_everything_and_at_no_other_time(
    path: Path,
) -> None:
    """Of each release, with its processes."""
    lives: dict[str, Life] = {}
    restarts = 0
    for line in path.read_text().splitlines():
        said = json.loads(line)
        if not said["datagram"].startswith("KDMQ"):
            continue
        request = parse_message(said["datagram"].encode("latin-1"))
        assert isinstance(request, SipRequest)
        if lives.setdefault(said["src"], Life()).heard(request.call_id, 0.0):
            restarts += 1
            assert request.body.decode() == ASKS[SipURI.parse(request.uri).user]
    assert restarts == 1
