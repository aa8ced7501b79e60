"""What a node shows of the others: when one is lost, and when it is not."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from dmqcache.bus.node import Node, NodeList, NodeStatus, Trouble
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.metrics.node_view import TURNED_AWAY, NodeRow, node_rows

NOW = 1000.0


def row(**fields: Any) -> NodeRow:
    """What a node with these fields looks like to one with an empty store."""
    node = Node(NodeURI.parse("sip:127.0.0.12:5060"), since=NOW - 90, **fields)
    return shown([node], [])[0]


def lost_s(**fields: Any) -> float | None:
    """For how long it is lost."""
    return row(**fields).lost_s


def shown(
    nodes: list[Node], lost: list[Node], refused: Sequence[tuple[NodeURI, str, float]] = ()
) -> list[NodeRow]:
    """The rows of a node that lists ``nodes``, and knows of others that are lost."""
    listed = NodeList(nodes[0])
    for node in nodes[1:]:
        listed.add(node)
    bus = SimpleNamespace(
        nodes=listed,
        lost_nodes=lambda: lost,
        key_standing=lambda node: "yes",
        turned_away=lambda: refused,
    )
    held_back = SimpleNamespace(
        reasons=lambda uri: {"too_large": 2}, missing_tables=lambda uri: ["maint", "calls"]
    )
    clock = SimpleNamespace(now=lambda: NOW)
    compare = SimpleNamespace(
        left=lambda uri: {"users": 7}, otherwise=lambda uri: {"calls": "no dmqreplicate there"}
    )
    memory = SimpleNamespace(words="memory is full")
    store: Any = SimpleNamespace(
        bus=bus, outboxes={}, clock=clock, held_back=held_back, compare=compare, memory=memory
    )
    return node_rows(store, "dmqcache (0.1.0)")


def test_what_it_is_not_told_is_shown_with_it() -> None:
    words = "too_large 2, lacks maint, lacks calls, 7 of users removed there, calls: no dmqreplicate there"
    assert row().withheld == words
    assert row().otherwise == 1


def test_what_is_wrong_with_it_one_way_is_shown_with_it() -> None:
    shown = row(trouble={Trouble.UNLISTED: "leaves this node out", Trouble.REFUSES_LIST: "answers 405"})
    assert shown.trouble == "leaves this node out; answers 405" and row().trouble == ""
    assert set(shown.troubles) == {"unlisted", "refuses_list"}


def test_of_its_own_memory_alone_a_node_says_that_it_is_full() -> None:
    own = Node(NodeURI.parse("sip:127.0.0.11:5060"), NodeStatus.ACTIVE, local=True)
    rows = shown([own, Node(NodeURI.parse("sip:127.0.0.12:5060"))], [])
    assert [row.trouble for row in rows] == ["memory is full", ""]
    assert not rows[0].troubles


@pytest.mark.parametrize("status", [NodeStatus.TIMEOUT, NodeStatus.PENDING])
def test_a_node_that_once_answered_and_does_not_any_more_is_lost(status: NodeStatus) -> None:
    """``pending`` is what a lost node behind a notification address may be."""
    assert lost_s(status=status, confirmed=True) == 90


@pytest.mark.parametrize(
    "fields",
    [
        {"status": NodeStatus.ACTIVE, "confirmed": True},
        {"status": NodeStatus.DISABLED, "confirmed": True},
        {"status": NodeStatus.PENDING, "confirmed": False},
        {"status": NodeStatus.TIMEOUT, "confirmed": True, "local": True},
    ],
)
def test_one_that_answers_said_goodbye_or_never_answered_is_not(fields: dict[str, Any]) -> None:
    assert lost_s(**fields) is None


def test_one_that_is_off_the_list_is_shown_until_somebody_takes_it_away() -> None:
    own = Node(NodeURI.parse("sip:127.0.0.11:5060"), NodeStatus.ACTIVE, local=True)
    gone = Node(NodeURI.parse("sip:127.0.0.12:5060"), NodeStatus.TIMEOUT, confirmed=True, since=NOW - 3600)
    rows = shown([own], [gone])
    assert [(row.uri, row.status, row.lost_s) for row in rows] == [
        ("sip:127.0.0.11:5060", "active", None),
        ("sip:127.0.0.12:5060", "timeout", 3600),
    ]
    # It calls again, and has not answered yet: one row, lost as before.
    back = Node(gone.uri, NodeStatus.PENDING, since=NOW - 1)
    assert [(row.status, row.lost_s) for row in shown([own, back], [gone])[1:]] == [("pending", 3600)]


def test_who_was_turned_away_is_shown_as_no_node() -> None:
    own = Node(NodeURI.parse("sip:127.0.0.11:5060"), NodeStatus.ACTIVE, local=True)
    rows = shown([own], [], [(NodeURI.parse("sip:127.0.0.12:5060"), "other", NOW - 3)])
    assert (rows[0].key, rows[1].status, rows[1].key, rows[1].last_seen_s) == ("yes", TURNED_AWAY, "other", 3)
