"""kill -9 under load, one node after the other, three times round: what was acknowledged is not missing.

One client writes to each node with pipelines of sets and deletes. What a surviving node has answered counts
as acknowledged; of what went to the node that is killed, only what was followed by a WAIT for one other node.
Each client keeps to keys of its own, so it knows which value each of them may have.
"""

import threading
from collections.abc import Iterator

import pytest
import redis

from tests.interop.cluster import Cluster, Node
from tests.interop.daemon import wait_until
from tests.interop.dmqcache_node import DmqcacheNode

pytestmark = pytest.mark.interop

NAMES = ("d1", "d2", "d3")
ROUNDS = 3
KEYS = 2000
PIPELINE = 50
WAIT_MS = 2000
MORE_PIPELINES = 10
"""How many pipelines each client gets through between two events: it is in full swing at each of them."""
PROGRESS_TIMEOUT_S = 30.0
BACK_TIMEOUT_S = 30.0
EQUAL_TIMEOUT_S = 30.0


class Client(threading.Thread):
    """Writes to one node until it is told to stop, or the node is away.

    `possible` holds for each of its keys what may be found there: first what was acknowledged last, then
    what was sent since without an answer.
    """

    def __init__(
        self, node: DmqcacheNode, possible: dict[str, list[str | None]], turn: str, wait: bool
    ) -> None:
        super().__init__(daemon=True)
        self.pipelines = 0
        self.cut_off = False
        self.error: BaseException | None = None
        self._node = node
        self._possible = possible
        self._turn = turn
        self._wait = wait
        self._stopped = threading.Event()

    def run(self) -> None:
        try:
            with self._node.redis("users") as client:
                while not self._stopped.is_set():
                    self._pipeline(client)
                    self.pipelines += 1
        except redis.exceptions.ConnectionError:
            self.cut_off = True
        except BaseException as error:
            self.error = error

    def _pipeline(self, client: redis.Redis) -> None:
        batch = client.pipeline(transaction=False)
        sent: dict[str, str | None] = {}
        for index in range(PIPELINE):
            number = self.pipelines * PIPELINE + index
            key = f"{self._node.host} {number % KEYS}"
            value = None if number % 7 == 0 else f"{self._turn} {number}"
            self._possible.setdefault(key, [None]).append(value)
            sent[key] = value
            if value is None:
                batch.delete(key)
            else:
                batch.set(key, value)
        if self._wait:
            batch.wait(1, WAIT_MS)
        answers = batch.execute()
        if not self._wait or answers[-1] >= 1:
            self._possible.update((key, [value]) for key, value in sent.items())

    def stop(self) -> None:
        self._stopped.set()
        self.join(PROGRESS_TIMEOUT_S)
        assert not self.is_alive() and self.error is None, self.error


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster("127.0.41.", NAMES) as cluster:
        yield cluster.join()


def _wait_progress(clients: list[Client]) -> None:
    """Each of them gets through some more pipelines."""
    goals = [(client, client.pipelines + MORE_PIPELINES) for client in clients]
    wait_until(
        lambda: all(client.pipelines >= goal for client, goal in goals),
        PROGRESS_TIMEOUT_S,
        lambda: f"clients go on: {[(c.name, c.pipelines, goal, c.error) for c, goal in goals]}",
    )


def _wrong(node: Node, possible: dict[str, list[str | None]]) -> dict[str, object]:
    table = node.dump("users")
    return {key: (table.get(key), may) for key, may in possible.items() if table.get(key) not in may}


def test_nothing_acknowledged_is_missing(cluster: Cluster) -> None:
    possible: dict[str, dict[str, list[str | None]]] = {name: {} for name in NAMES}
    for turn in range(ROUNDS):
        for victim in NAMES:
            clients = {
                name: Client(cluster.dmqcache(name), possible[name], f"{turn} {victim}", name == victim)
                for name in NAMES
            }
            for client in clients.values():
                client.start()
            _wait_progress(list(clients.values()))
            cluster[victim].kill()
            wait_until(lambda c=clients[victim]: c.cut_off, PROGRESS_TIMEOUT_S, "the client is cut off")  # type: ignore[misc]
            survivors = [client for name, client in clients.items() if name != victim]
            _wait_progress(survivors)
            cluster[victim].restart()
            _wait_progress(survivors)
            cluster.wait_joined(BACK_TIMEOUT_S)
            for client in clients.values():
                client.stop()
            table = cluster.wait_equal("users", EQUAL_TIMEOUT_S)
            for name in NAMES:
                assert _wrong(cluster["d1"], possible[name]) == {}, (turn, victim, name)
                # What was open is decided: it is the same on all.
                possible[name] = {key: [str(table[key]) if key in table else None] for key in possible[name]}
    assert len(table) > KEYS
