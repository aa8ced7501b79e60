"""A real `dmqcache serve` process, as a test sees it: start, ask over Redis and HTTP, signal, kill, restart.

Only the public interface is used: the command line, the Redis protocol, /metrics, /healthz and /readyz.
"""

import http.client
import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Self

import redis
from prometheus_client.parser import text_string_to_metric_families

from tests.interop.daemon import Daemon, NotReady, require_programs, wait_until
from tests.interop.life import NodeProcess

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0
COMMAND_TIMEOUT_S = 20.0
ROOT = Path(__file__).resolve().parents[2]
USERS = "users=>autoexpire=3600"

Labels = frozenset[tuple[str, str]]


class DmqcacheProcess(NodeProcess):
    """One dmqcache node on its own address: SIP on `port`, Redis on `client_port`, HTTP on `http_port`.

    `tables` are `--table` declarations, `seeds` notification addresses; `extra` goes to the command line.
    """

    def __init__(
        self,
        host: str,
        port: int = 5060,
        *,
        tables: Sequence[str] = (USERS,),
        seeds: Sequence[str] = (),
        transport: str = "udp",
        namespace: str | None = None,
        client_port: int = 6380,
        http_port: int = 9180,
        extra: Sequence[str] = (),
    ) -> None:
        super().__init__("dmqcache", host)
        self.transport = transport
        self.namespace = namespace
        self.client_port = client_port
        self.http_port = http_port
        suffix = "" if transport == "udp" else f";transport={transport}"
        self.uri = f"sip:{host}:{port}{suffix}"
        self._log = self._directory / "node.log"
        self._arguments = ["--server-address", self.uri]
        for seed in seeds:
            self._arguments += ["--notification-address", seed]
        for table in tables:
            self._arguments += ["--table", table]
        # Some of the addresses are not of loopback.
        self._arguments += ["--client-address", f"{host}:{client_port}", "--allow-open"]
        self._arguments += ["--http-address", f"{host}:{http_port}", *extra]

    # ---- life ----

    def start(self, *, wait: bool = True, timeout: float = START_TIMEOUT_S) -> Self:
        """Start the process; with `wait`, return when /healthz answers 200."""
        require_programs(*(["ip"] if self.namespace else []))
        command = [sys.executable, "-m", "dmqcache", "serve", *self._arguments]
        environ = {"PYTHONPATH": str(ROOT)}
        self._daemon = Daemon(self.title, command, self._log, namespace=self.namespace, environ=environ)
        if wait:
            self._daemon.wait_ready(self.healthy, timeout)
        return self

    @property
    def pid(self) -> int:
        return self.daemon.process.pid

    def stop(self, sig: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to leave (SIGTERM or SIGINT) and wait for its end; the exit status."""
        if sig is signal.SIGTERM:
            return self.daemon.terminate(STOP_TIMEOUT_S)
        self.daemon.process.send_signal(sig)
        wait_until(
            lambda: not self.running, STOP_TIMEOUT_S, lambda: f"end after {sig.name}\n{self.diagnosis()}"
        )
        return self.daemon.process.wait()

    # ---- HTTP ----

    def http_get(self, path: str, timeout: float = 5.0) -> tuple[int, str]:
        """Status and body of a GET; OSError if the node is away."""
        with closing(http.client.HTTPConnection(self.host, self.http_port, timeout=timeout)) as connection:
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                return answer.status, answer.read().decode()
            except http.client.HTTPException as error:
                raise OSError(f"{type(error).__name__}: {error}") from error

    def rpc(self, method: str, *params: object, timeout: float = 5.0) -> Any:
        """One JSON-RPC call; its result."""
        call = json.dumps({"jsonrpc": "2.0", "method": method, "params": list(params), "id": 1})
        connection = http.client.HTTPConnection(self.host, self.http_port, timeout=timeout)
        with closing(connection):
            connection.request("POST", "/rpc", call, {"Content-Type": "application/json"})
            return json.loads(connection.getresponse().read())["result"]

    def healthy(self) -> bool:
        return self.http_get("/healthz")[0] == 200

    def ready(self) -> bool:
        """Whether the initial sync is done."""
        return self.http_get("/readyz")[0] == 200

    def wait_ready(self, timeout: float = START_TIMEOUT_S) -> None:
        """Wait until /readyz answers 200."""
        self.daemon.wait_ready(self.ready, timeout)

    def metrics(self) -> dict[str, dict[Labels, float]]:
        """/metrics as {sample name: {labels: value}}."""
        samples: dict[str, dict[Labels, float]] = {}
        for family in text_string_to_metric_families(self.http_get("/metrics")[1]):
            for sample in family.samples:
                samples.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
        return samples

    def metric(self, name: str, **labels: str) -> float:
        """The sum of all samples of `name` whose labels include `labels`; 0 if there are none."""
        wanted = labels.items()
        return sum(value for found, value in self.metrics().get(name, {}).items() if wanted <= set(found))

    # ---- the Redis protocol and the commands ----

    def redis(self, table: str | None = None, timeout: float = 10.0) -> redis.Redis:
        """A new client; `table` is selected by name (default: the first table)."""
        client = redis.Redis(
            host=self.host,
            port=self.client_port,
            decode_responses=False,
            socket_timeout=timeout,
            single_connection_client=True,
        )
        if table is not None:
            client.execute_command("SELECT", table)  # type: ignore[no-untyped-call]
        return client

    def command(self, *words: str, check: bool = True) -> "subprocess.CompletedProcess[bytes]":
        """Run `dmqcache WORDS --node ...` as an operator does."""
        command = [sys.executable, "-m", "dmqcache", *words, "--node", f"{self.host}:{self.client_port}"]
        return subprocess.run(command, capture_output=True, check=check, cwd=ROOT, timeout=COMMAND_TIMEOUT_S)

    def nodes(self) -> dict[str, str]:
        """Every node of the bus that this one knows, itself included: its URI and its status."""
        with closing(self.redis()) as client:
            rows = json.loads(client.execute_command("DMQ.NODES"))  # type: ignore[no-untyped-call]
        return {row["uri"]: row["status"] for row in rows}

    def wait_nodes(self, uris: Sequence[str], timeout: float) -> None:
        """Wait until exactly `uris` (itself included) are active; other known nodes are not."""
        self._wait_active(uris, timeout, frozenset(), self._nodes_or_trouble)

    def _nodes_or_trouble(self) -> object:
        try:
            return self.nodes()
        except (OSError, NotReady, redis.exceptions.RedisError) as error:
            return error
