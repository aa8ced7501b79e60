"""How long ``dmqcache get`` takes, from the shell and back, beside ``redis-cli get`` on the same node."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from bench.cluster import HOSTS, TABLE, Process, started

CLIENT = f"{HOSTS[0]}:7472"


def _milliseconds(command: list[str], repeat: int) -> float:
    series = []
    for _ in range(repeat):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, timeout=10)
        series.append((time.perf_counter() - began) * 1000)
    return statistics.median(series)


def get_latency(repeat: int = 11) -> tuple[float, float]:
    """Milliseconds: ours, and redis-cli's."""
    host, _, port = CLIENT.rpartition(":")
    ours = [sys.executable, "-m", "dmqcache"]
    process = Process(HOSTS[0], [], client=CLIENT)
    with started(process):
        subprocess.run([*ours, "set", "--node", CLIENT, TABLE, "alice", "x"], check=True, timeout=10)
        get = _milliseconds([*ours, "get", "--node", CLIENT, TABLE, "alice"], repeat)
        theirs = _milliseconds(["redis-cli", "-h", host, "-p", port, "get", "alice"], repeat)
    return get, theirs


if __name__ == "__main__":
    ours_ms, theirs_ms = get_latency()
    print(f"dmqcache get {ours_ms:.0f} ms, redis-cli get {theirs_ms:.0f} ms")
