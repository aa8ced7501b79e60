"""What Kamailio 5.6.3 and Redis do on this machine, in the same run in which dmqcache is measured.

Each function starts its own processes on loopback, puts a load of bounded count on them, and returns
numbers. Only ratios within one run mean anything. Nothing here measures dmqcache or prints tables: the
other scripts of bench/ do. By hand: `python -m bench.rivals` from the project's root.
"""

import contextlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import redis

from tests.interop.daemon import Daemon, NotReady, require_programs, wait_until
from tests.interop.kamailio import Kamailio

KAMAILIO_HOSTS = ("127.0.0.81", "127.0.0.82", "127.0.0.83")
REDIS_PORTS = (7461, 7462, 7463)
TABLE = "users=>size=14;autoexpire=3600;dmqreplicate=1;"
"""2**14 buckets: what an operator chooses for some 100,000 cells."""

ARRIVAL_TIMEOUT_S = 60.0
"""How long after the last set a replica may lag before the measurement gives up."""

SYNC_QUIET_S = 5.0
"""A sync is over when no cell arrived for so long: Kamailio sends no end mark."""

SYNC_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Rate:
    """`count` sets made on one node, of which `arrived` were on every other one after `seconds`."""

    count: int
    arrived: int
    seconds: float
    written_seconds: float
    """When the writer itself was done; the difference to `seconds` is the replicas' lag."""

    @property
    def per_second(self) -> float:
        """Replicated sets per second."""
        return self.arrived / self.seconds


@dataclass(frozen=True, slots=True)
class SyncTime:
    """Of `cells` on the donor `arrived` on a new node, the last one `seconds` after its start."""

    cells: int
    arrived: int
    seconds: float


# ---- Kamailio ----


def kamailio_sets(count: int = 20_000, nodes: int = 3, shm_mb: int = 1024) -> Rate:
    """Sets made by one Kamailio's script as fast as it can, until all are on the others. count <= 200,000."""
    _bounded(count, 200_000)
    with _kamailio_cluster(nodes, shm_mb) as (writer, *others):
        start = time.monotonic()
        writer.fast_sets(count)
        written = time.monotonic()
        _wait_counts(others, count)
        end = time.monotonic()
        arrived = count - max(other.missing(count) for other in others)
    return Rate(count, arrived, end - start, written - start)


def kamailio_initial_sync(cells: int = 100_000, shm_mb: int = 3072) -> SyncTime:
    """How long a new Kamailio takes for another's table, and how much arrives. cells <= 1,000,000."""
    _bounded(cells, 1_000_000)
    donor = Kamailio(KAMAILIO_HOSTS[0], tables=[TABLE], shm_mb=shm_mb)
    joiner = Kamailio(KAMAILIO_HOSTS[1], tables=[TABLE], shm_mb=shm_mb, seeds=[donor.uri])
    with donor:
        donor.fast_sets(cells)
        start = time.monotonic()
        with joiner:
            arrived, last = _follow_growth(joiner, cells, start)
    return SyncTime(cells, arrived, last)


@contextlib.contextmanager
def _kamailio_cluster(count: int, shm_mb: int) -> Iterator[list[Kamailio]]:
    hosts = KAMAILIO_HOSTS[:count]
    uris = [f"sip:{host}:5060" for host in hosts]
    with contextlib.ExitStack() as stack:
        nodes = []
        for host in hosts:
            seeds = [uri for uri in uris if f":{host}:" not in uri]
            node = Kamailio(host, tables=[TABLE], seeds=seeds, shm_mb=shm_mb)
            nodes.append(stack.enter_context(node))
        for node in nodes:
            node.wait_nodes(uris, 10)
        yield nodes


def _wait_counts(nodes: list[Kamailio], count: int) -> None:
    """Wait until each node holds `count` cells, or give up: the caller counts what is missing."""
    deadline = time.monotonic() + ARRIVAL_TIMEOUT_S
    for node in nodes:
        with contextlib.suppress(NotReady):
            node.wait_count("users", count, max(0.1, deadline - time.monotonic()))


def _follow_growth(node: Kamailio, cells: int, start: float) -> tuple[int, float]:
    """Follow a syncing node until it is complete or quiet: cells, seconds until the last one came."""
    count, last, now = 0, 0.0, 0.0
    while now - last <= SYNC_QUIET_S and now <= SYNC_TIMEOUT_S:
        time.sleep(0.02)
        now = time.monotonic() - start
        seen = node.count("users", timeout=SYNC_TIMEOUT_S)
        if seen != count:
            count, last = seen, time.monotonic() - start
            if count >= cells and node.missing(cells) == 0:
                break
    return cells - node.missing(cells), last


# ---- Redis ----


def redis_pipelined(count: int = 200_000, pipeline: int = 100, replicas: int = 2) -> Rate:
    """SETs of different keys from one redis-py client, `pipeline` at a time, until all replicas have them."""
    _bounded(count, 5_000_000)
    with _redis_cluster(replicas) as (master, *others):
        start = time.monotonic()
        for first in range(0, count, pipeline):
            batch = master.pipeline(transaction=False)
            for number in range(first, min(first + pipeline, count)):
                batch.set(f"k{number}", f"v{number}")
            batch.execute()
        written = time.monotonic()
        _wait_acknowledged(master, replicas)
        end = time.monotonic()
        arrived = min(int(other.dbsize()) for other in others)
    return Rate(count, arrived, end - start, written - start)


def redis_benchmark(count: int = 500_000, pipeline: int = 100, clients: int = 1, replicas: int = 2) -> Rate:
    """SETs of random keys from redis-benchmark, `pipeline` at a time, until all replicas have them."""
    _bounded(count, 5_000_000)
    command = ["redis-benchmark", "-h", "127.0.0.1", "-p", str(REDIS_PORTS[0]), "-t", "set", "-d", "8"]
    command += ["-n", str(count), "-r", str(count), "-P", str(pipeline), "-c", str(clients), "--csv"]
    with _redis_cluster(replicas) as (master, *others):
        start = time.monotonic()
        subprocess.run(command, check=True, capture_output=True, timeout=ARRIVAL_TIMEOUT_S)
        written = time.monotonic()
        _wait_acknowledged(master, replicas)
        end = time.monotonic()
        complete = all(other.dbsize() == master.dbsize() for other in others)
    return Rate(count, count if complete else 0, end - start, written - start)


@contextlib.contextmanager
def _redis_cluster(replicas: int) -> Iterator[list[redis.Redis]]:
    """A master and its replicas, without persistence, replication streamed without a file."""
    require_programs("redis-server", "redis-benchmark")
    directory = Path(tempfile.mkdtemp(prefix="dmqc-redis-"))
    ports = REDIS_PORTS[: replicas + 1]
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        clients = []
        for port in ports:
            clients.append(_start_redis(stack, directory, port, None if port == ports[0] else ports[0]))
        for client in clients[1:]:
            wait_until(
                lambda client=client: client.info("replication")["master_link_status"] == "up",  # type: ignore[misc]
                ARRIVAL_TIMEOUT_S,
                "replica linked",
            )
        yield clients


def _start_redis(stack: contextlib.ExitStack, directory: Path, port: int, master: int | None) -> redis.Redis:
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory)]
    command += ["--save", "", "--appendonly", "no"]
    command += ["--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0"]
    command += ["--repl-diskless-load", "on-empty-db"]
    if master is not None:
        command += ["--replicaof", "127.0.0.1", str(master)]
    daemon = Daemon(f"redis {port}", command, directory / f"{port}.log")
    stack.callback(daemon.kill)
    client = redis.Redis(host="127.0.0.1", port=port, socket_timeout=ARRIVAL_TIMEOUT_S)
    stack.callback(client.close)

    def answers() -> bool:
        try:
            return bool(client.ping())
        except redis.exceptions.RedisError:
            return False

    daemon.wait_ready(answers, 10)
    return client


def _wait_acknowledged(master: redis.Redis, replicas: int) -> None:
    """WAIT counts from the last write of its own connection, so it makes one."""
    master.set("k0", "v0")
    if master.wait(replicas, int(ARRIVAL_TIMEOUT_S * 1000)) < replicas:
        raise NotReady("a Redis replica did not acknowledge in time")


def _bounded(count: int, limit: int) -> None:
    if not 0 < count <= limit:
        raise ValueError(f"count {count}: from 1 to {limit:,}")


def main() -> None:
    """Print each rival's numbers."""
    for name, result in (
        ("kamailio_sets", kamailio_sets()),
        ("kamailio_initial_sync", kamailio_initial_sync()),
        ("kamailio_initial_sync 1M", kamailio_initial_sync(1_000_000)),
        ("redis_pipelined", redis_pipelined()),
        ("redis_benchmark", redis_benchmark()),
    ):
        rate = f" {result.per_second:,.0f}/s" if isinstance(result, Rate) else ""
        print(f"{name}: {asdict(result)}{rate}", flush=True)


if __name__ == "__main__":
    main()
