"""Three dmqcache nodes in processes of their own, for the benchmarks; one of them runs the measurement.

Run as a module it is one such process: it joins, prints ``ready`` and serves until its input ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator

from dmqcache.cache_node import CacheNode
from dmqcache.cli.run_node import loop_factory, tune_collector

TABLE = "users"
HOSTS = ("127.0.0.71", "127.0.0.72", "127.0.0.73")
PORT = 5070
#: Names the key file of all nodes of a measurement.
KEY_VARIABLE = "BENCH_BUS_KEY_FILE"
#: The transport of all nodes of a measurement, and the folder of their certificates where it is ``tls``.
TRANSPORT_VARIABLE = "BENCH_TRANSPORT"
TLS_VARIABLE = "BENCH_TLS_FOLDER"


def address(host: str) -> str:
    transport = os.environ.get(TRANSPORT_VARIABLE)
    return f"sip:{host}:{PORT}" + (f";transport={transport}" if transport else "")


def node(host: str, seeds: list[str], **options: object) -> CacheNode:
    """With a key if a file of one is named in ``KEY_VARIABLE``, which further processes inherit; so with the
    transport."""
    if os.environ.get(KEY_VARIABLE):
        options["bus_key_file"] = os.environ[KEY_VARIABLE]
    if os.environ.get(TLS_VARIABLE):
        folder = os.environ[TLS_VARIABLE]
        options |= {f"tls_{name}": f"{folder}/{name}.pem" for name in ("certificate", "key", "ca")}
    return CacheNode(
        server_address=address(host),
        notification_address=[address(seed) for seed in seeds],
        table=[TABLE],
        log_level="warning",
        **options,
    )


async def _serve(host: str, seeds: list[str], client: str, folder: str) -> None:
    options = {"client_address": client, "data_dir": folder}
    async with node(host, seeds, **{name: value for name, value in options.items() if value}) as served:
        print("serving", flush=True)
        await served.wait_ready(60)
        print("ready", flush=True)
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
        )
        while line := await reader.readline():
            command = line.decode().split()
            if command[0] == "count":
                print(len(served.table(TABLE)), flush=True)


class Process:
    """One such process."""

    def __init__(self, host: str, seeds: list[str], client: str = "", folder: str = "") -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.cluster", host, ",".join(seeds), client, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_serving(self) -> None:
        """Until it answers clients with what it had on disk."""
        self._expect("serving")

    def wait_ready(self) -> None:
        """Until it has all that others have as well; a node that is alone waits three seconds for others."""
        self._expect("ready")

    def _expect(self, word: str) -> None:
        assert self._process.stdout is not None
        while (line := self._process.stdout.readline().strip()) != word:
            if line != "serving":
                raise RuntimeError("a benchmark node did not start")

    def count(self) -> int:
        """How many cells it holds."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write("count\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def started(*processes: Process) -> Iterator[None]:
    """Wait until they are ready; stop them at the end."""
    try:
        for process in processes:
            process.wait_ready()
        yield
    finally:
        for process in processes:
            process.stop()


@contextlib.asynccontextmanager
async def writer_with_replicas(count: int = 2, **options: object) -> AsyncIterator[CacheNode]:
    """A node in this process, with these ``options``, and ``count`` others that hold what it holds."""
    async with node(HOSTS[0], [], **options) as writer:
        loop = asyncio.get_running_loop()
        context = started(*(Process(host, [HOSTS[0]]) for host in HOSTS[1 : count + 1]))
        await loop.run_in_executor(None, context.__enter__)
        try:
            while len(writer.bus.active_nodes()) < count:
                await asyncio.sleep(0.01)
            yield writer
        finally:
            await loop.run_in_executor(None, context.__exit__, None, None, None)


def run(coroutine: object) -> object:
    """On the loop and with the collector that ``dmqcache serve`` uses."""
    tune_collector()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(coroutine)  # type: ignore[arg-type]


if __name__ == "__main__":
    run(_serve(sys.argv[1], [seed for seed in sys.argv[2].split(",") if seed], *sys.argv[3:5]))
