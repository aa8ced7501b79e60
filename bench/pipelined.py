"""Replicated SETs per second through the Redis protocol: the same clients that ``rivals`` points at Redis."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator

import redis

from bench.cluster import HOSTS, Process, started

CLIENT_PORT = 7471


@contextlib.contextmanager
def _cluster() -> Iterator[list[Process]]:
    """Three nodes that are ready; the first one serves Redis clients."""
    first = Process(HOSTS[0], [], client=f"{HOSTS[0]}:{CLIENT_PORT}")
    with started(first):
        others = [Process(host, [HOSTS[0]]) for host in HOSTS[1:]]
        with started(*others):
            yield [first, *others]


def _wait_acknowledged(client: redis.Redis, processes: list[Process], keys: int | None) -> None:
    if int(client.wait(2, 60_000)) < 2:
        raise RuntimeError("not everything was replicated")
    counts = {process.count() for process in processes}
    if len(counts) != 1 or (keys is not None and counts != {keys}):
        raise RuntimeError(f"the nodes hold {counts} cells")


def redis_py(count: int = 200_000, pipeline: int = 100) -> float:
    """SETs of different keys from one redis-py client, ``pipeline`` at a time."""
    with _cluster() as processes, redis.Redis(host=HOSTS[0], port=CLIENT_PORT, socket_timeout=60) as client:
        began = time.monotonic()
        for first in range(0, count, pipeline):
            batch = client.pipeline(transaction=False)
            for number in range(first, min(first + pipeline, count)):
                batch.set(f"k{number}", f"v{number}")
            batch.execute()
        _wait_acknowledged(client, processes, count)
        seconds = time.monotonic() - began
    return count / seconds


def redis_benchmark(count: int = 500_000, pipeline: int = 100, clients: int = 1) -> float:
    """SETs of random keys from redis-benchmark, ``pipeline`` at a time."""
    command = ["redis-benchmark", "-h", HOSTS[0], "-p", str(CLIENT_PORT), "-t", "set", "-d", "8"]
    command += ["-n", str(count), "-r", str(count), "-P", str(pipeline), "-c", str(clients), "--csv"]
    with _cluster() as processes, redis.Redis(host=HOSTS[0], port=CLIENT_PORT, socket_timeout=60) as client:
        began = time.monotonic()
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        _wait_acknowledged(client, processes, None)
        seconds = time.monotonic() - began
    return count / seconds


if __name__ == "__main__":
    print(f"redis-py        {redis_py():,.0f}/s")
    print(f"redis-benchmark {redis_benchmark():,.0f}/s")
