"""The keyword arguments of a node are the options, and each value that the types allow is understood."""

from __future__ import annotations

from datetime import timedelta
from typing import Unpack, get_type_hints

import pytest

from dmqcache import CacheNode, NodeURI, SyncCacheNode
from dmqcache.config.node_options import NodeOptions
from dmqcache.config.options import OPTIONS


def test_each_option_has_its_argument() -> None:
    names = {option.name for option in OPTIONS}
    assert NodeOptions.__optional_keys__ == names | {"tables", "notification_addresses"}
    assert not NodeOptions.__required_keys__


def test_values_may_be_what_python_has_for_them() -> None:
    node = CacheNode(
        server_address=NodeURI("127.0.0.96", 5060),
        tables=["users", {"name": "calls", "autoexpire": 60}],
        probe_interval=timedelta(seconds=2),
        stop_timeout="0.5",
    )
    assert node.config.server_address == NodeURI("127.0.0.96", 5060)
    assert [table.autoexpire for table in node.config.tables] == [0, 60]
    assert (node.config.probe_interval, node.config.stop_timeout) == (2.0, 0.5)


@pytest.mark.parametrize("kind", [CacheNode, SyncCacheNode])
def test_an_editor_and_a_type_checker_know_them(kind: type) -> None:
    assert get_type_hints(kind.__init__)["options"] == Unpack[NodeOptions]
