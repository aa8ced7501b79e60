"""Which dialect a node is spoken to in, by what it says of itself."""

from __future__ import annotations

import pytest

from dmqcache.bus.node import Node, NodeList
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.store.kamailio.dialect import (
    KAMAILIO5,
    KAMAILIO6,
    KAMAILIO62,
    Dialect,
    Dialects,
    dialect_of,
    stricter,
)


@pytest.mark.parametrize(
    ("user_agent", "dialect"),
    [
        ("kamailio (5.6.3 (x86_64/linux))", KAMAILIO5),
        ("kamailio (5.8.0 (aarch64/linux))", KAMAILIO5),
        ("kamailio (6.0.1 (x86_64/linux))", KAMAILIO6),
        ("kamailio (6.1.3 (x86_64/linux))", KAMAILIO6),
        ("kamailio (6.2.0-dev1 (x86_64/linux))", KAMAILIO62),
        ("Kamailio (6.10.0 (x86_64/linux))", KAMAILIO62),
        ("kamailio (7.0.0 (x86_64/linux))", KAMAILIO62),
        ("kamailio (6.2)", KAMAILIO62),
        ("kamailio (10.0.0)", KAMAILIO62),
        ("", KAMAILIO5),
        ("My SBC 6.2.0", KAMAILIO5),
        ("not kamailio (6.2.0)", KAMAILIO5),
        ("kamailio (6.2", KAMAILIO5),
        ("kamailio (" + "9" * 5000, KAMAILIO5),
    ],
)
def test_a_kamailio_is_known_by_its_user_agent(user_agent: str, dialect: Dialect) -> None:
    assert dialect_of(user_agent) is dialect


def test_after_a_400_less_is_said() -> None:
    assert stricter(KAMAILIO62) is KAMAILIO6
    assert stricter(KAMAILIO6) is KAMAILIO5
    assert stricter(KAMAILIO5) is KAMAILIO5
    assert not stricter(KAMAILIO62).last_modified


def test_a_node_that_answered_400_is_told_less_until_it_comes_anew() -> None:
    node = Node(NodeURI.parse("sip:127.0.0.62"), user_agent="kamailio (6.2.0 (x86_64/linux))")
    nodes = NodeList(Node(NodeURI.parse("sip:127.0.0.11"), local=True))
    nodes.add(node)
    dialects = Dialects(nodes)
    assert dialects.of(node.uri) is KAMAILIO62
    assert dialects.refused(node.uri) and dialects.of(node.uri) is KAMAILIO6
    assert dialects.refused(node.uri) and dialects.of(node.uri) is KAMAILIO5
    assert not dialects.refused(node.uri)
    dialects.forget(node.uri)
    assert dialects.of(node.uri) is KAMAILIO62
    assert dialects.of(NodeURI.parse("sip:127.0.0.99")) is KAMAILIO5
