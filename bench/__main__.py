"""``make bench``: every figure beside its rival, measured in the same run; only the ratios travel.

Each rate is the median of several runs that take turns with the rival's. Takes about four minutes; name
parts to run only those: ``python -m bench codec sets redis delay key command sync disk``.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable

from bench import codec, command, delay, disk, embedded, key, pipelined, rivals, sync

RUNS = 3
#: Few enough that the key's part ends within a minute or two, also on a machine that is busy.
KEY_SETS = 50_000
KEY_RUNS = 5


def _line(name: str, ours: str, theirs: str = "", ratio: float | None = None) -> None:
    shown = f"{ratio:9.2f} x" if ratio is not None else ""
    print(f"{name:52} {ours:>16} {theirs:>26} {shown}", flush=True)


def _rates(name: str, rival: str, ours: Callable[[], float], theirs: Callable[[], float]) -> None:
    """Runs in turn, so that a busy moment of the machine hits both."""
    mine, others = [], []
    for _ in range(RUNS):
        mine.append(ours())
        others.append(theirs())
    one, other = statistics.median(mine), statistics.median(others)
    _line(name, f"{one:,.0f}/s", f"{rival} {other:,.0f}/s", one / other)


def run_codec() -> None:
    for name, cost in codec.costs().items():
        _line(name, f"{cost:.2f} us")


def run_sets() -> None:
    kamailio = [rivals.kamailio_sets(20_000).per_second for _ in range(RUNS)]
    other = statistics.median(kamailio)
    for name, keys in (("new keys", 300_000), ("20,000 keys", 20_000)):
        one = statistics.median(embedded.sets_per_second(keys=keys) for _ in range(RUNS))
        _line(
            f"replicated sets, 3 nodes, embedded, {name}",
            f"{one:,.0f}/s",
            f"Kamailio {other:,.0f}/s",
            one / other,
        )


def run_redis() -> None:
    _rates(
        "replicated SETs, redis-py pipelines of 100",
        "Redis",
        pipelined.redis_py,
        lambda: rivals.redis_pipelined().per_second,
    )
    _rates(
        "replicated SETs, redis-benchmark -P 100",
        "Redis",
        pipelined.redis_benchmark,
        lambda: rivals.redis_benchmark().per_second,
    )


def run_delay() -> None:
    idle, busy = delay.idle(), delay.busy()
    _line("a set and its acknowledgement, idle: median", f"{idle.median:.2f} ms")
    _line("a set and its acknowledgement, idle: p99", f"{idle.p99:.2f} ms")
    _line("the same while 20,000 sets/s flow: median", f"{busy.median:.2f} ms")
    _line("the same while 20,000 sets/s flow: p99", f"{busy.p99:.2f} ms")


def run_key() -> None:
    for name, rival, measure in (
        ("replicated sets, 3 nodes, with the bus's key", "without", key.with_and_without),
        ("replicated sets, 3 nodes, over TLS", "TCP", key.tls_and_tcp),
    ):
        one, other, ratio = measure(KEY_RUNS, KEY_SETS)
        _line(name, f"{one.per_second:,.0f}/s", f"{rival} {other.per_second:,.0f}/s", ratio)
        _line(
            "  processor time of the writing loop for each",
            f"{one.loop_us:.1f} us",
            f"{rival} {other.loop_us:.1f} us",
            one.loop_us / other.loop_us,
        )
    for name, cost in key.costs().items():
        _line(name, f"{cost:.2f} us")


def run_command() -> None:
    ours, theirs = command.get_latency()
    _line("dmqcache get, from the shell", f"{ours:.0f} ms", f"redis-cli {theirs:.0f} ms", ours / theirs)


def run_sync() -> None:
    mine, other = sync.initial_sync(), rivals.kamailio_initial_sync(1_000_000)
    _line(
        f"initial sync: {mine.arrived:,} of {mine.cells:,} cells",
        f"{mine.seconds:.1f} s",
        f"Kamailio {other.seconds:.1f} s",
        mine.seconds / other.seconds,
    )
    _line("  Kamailio: cells that arrived", f"{other.arrived:,}")
    _line("  growth of the donor's memory", f"{mine.donor_growth:.0f} MB")


def run_disk() -> None:
    with_disk, without, ratio = disk.sets_with_and_without()
    _line(
        "replicated sets with a data_dir, new keys",
        f"{with_disk.per_second:,.0f}/s",
        f"without {without.per_second:,.0f}/s",
        ratio,
    )
    _line(
        "  processor time of the loop for each",
        f"{with_disk.loop_us:.1f} us",
        f"without {without.loop_us:.1f} us",
        with_disk.loop_us / without.loop_us,
    )
    _line("  and of the thread that writes", f"{with_disk.others_us:.1f} us")
    loaded, synced = disk.load(), sync.initial_sync()
    _line(
        f"start with {loaded.cells:,} cells on disk",
        f"{loaded.seconds:.1f} s",
        f"from another node {synced.seconds:.1f} s",
        loaded.seconds / synced.seconds,
    )
    _line("  bytes on disk for each cell", f"{loaded.bytes / loaded.cells:.0f}")
    _line("  longest time the loop stood still while it was written", f"{loaded.stall * 1000:.0f} ms")


PARTS: dict[str, Callable[[], None]] = {
    "codec": run_codec,
    "sets": run_sets,
    "redis": run_redis,
    "delay": run_delay,
    "key": run_key,
    "command": run_command,
    "sync": run_sync,
    "disk": run_disk,
}


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        print(f"bench: no part {unknown[0]!r}; there are: {', '.join(PARTS)}", file=sys.stderr)
        return 2
    _line("", "dmqcache", "rival", None)
    for name in names or PARTS:
        PARTS[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
