"""A node has what its clients need: a name that is missing is found here, and not by the first client."""

from __future__ import annotations

from typing import Any

from dmqcache.cache_node import CacheNode
from dmqcache.node_channels import NodeChannels
from dmqcache.server.resp.served_node import ServedChannels, ServedNode


def names_of(protocol: type[Any]) -> set[str]:
    return {name for name in vars(protocol) if not name.startswith("_")}


def test_a_node_has_what_clients_need() -> None:
    assert names_of(ServedNode) >= {"channels", "wait_replicated", "acknowledged"}
    assert names_of(ServedNode) <= set(dir(CacheNode))


def test_its_channels_have_what_clients_need() -> None:
    assert names_of(ServedChannels) >= {"publish", "ask"}
    assert names_of(ServedChannels) <= set(dir(NodeChannels))
