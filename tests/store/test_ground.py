"""What every part is handed: which tables are shared, and a way to send that names its channel."""

from __future__ import annotations

from dmqcache.bus.peer import Reply
from dmqcache.store.ground import CONTENT_TYPE, Channel, Ground
from dmqcache.store.table.store_counters import StoreCounters
from tests.store.fixtures import make_table
from tests.store.harness import Played, World


def test_a_table_is_shared_if_it_is_declared_and_not_kept_local() -> None:
    world = World()
    side = world.side("127.0.0.11")
    tables = {
        name: make_table(f"{name}=>dmqreplicate={shared:d}")[0]
        for name, shared in (("t", True), ("own", False))
    }
    ground = Ground(side.runtime, side.store.clock, StoreCounters(), tables)
    assert [ground.is_replicated(name) for name in ("t", "own", "none")] == [True, False, False]
    assert ground.replicated() == [tables["t"]]


def test_a_channel_sends_json_to_the_same_channel_of_a_node_and_tells_the_answer() -> None:
    world = World()
    side, other = world.side("127.0.0.11"), Played(world, "127.0.0.12")
    other.answer = lambda sent: Reply(202, body=b"later")
    answers: list[tuple[int, bytes]] = []
    channel = Channel(side.bus, "news")
    sending = channel.send(
        other.uri, b"{}", lambda response: answers.append((response.status, response.body)), timeout=3.0
    )
    silent = channel.send(other.uri, b"[]", lambda response: answers.append((0, b"")), repeat=False)
    silent.cancel()
    world.run(5)
    assert [(sent.channel, sent.body, sent.timeout, sent.repeat) for sent in other.got] == [
        ("news", b"{}", 3.0, True)
    ]
    assert answers == [(202, b"later")]
    assert sending is not silent and CONTENT_TYPE == "application/json"
