"""A program without an event loop: the node lives in a thread, and its tables are used from any other.

    python examples/threaded.py                                              # alone
    python examples/threaded.py sip:127.0.0.15:5060 sip:127.0.0.11:5060      # with the nodes of `make demo`

The first address is our own, the others are nodes to join through.
"""

from __future__ import annotations

import sys
import threading
from datetime import timedelta

from dmqcache import Change, ConfigError, SyncCacheNode, SyncTable

WORKERS = 4


def work(table: SyncTable, number: int) -> None:
    for _ in range(100):
        table.incr("jobs done")
    table.set(f"worker {number}", "finished", ttl=timedelta(minutes=5))


def run(own: str, seeds: list[str]) -> None:
    with SyncCacheNode(server_address=own, notification_address=seeds, tables=["jobs"]) as node:
        node.wait_ready(30)
        jobs = node.table("jobs")
        before = int(jobs.get("jobs done") or 0)
        seen: list[Change] = []
        jobs.subscribe(seen.append, "worker")
        threads = [threading.Thread(target=work, args=(jobs, number)) for number in range(WORKERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print("jobs done:", int(jobs["jobs done"]) - before, "by", len(jobs.scan(prefix="worker")), "workers")
        print("acknowledged by", node.wait_replicated(timeout=5), "other nodes")
        print("changes seen:", sorted(change.key for change in seen))


def main() -> int:
    own, *seeds = sys.argv[1:] or ["sip:127.0.0.15:5060"]
    try:
        run(own, seeds)
    except KeyboardInterrupt:
        return 130
    except (ConfigError, OSError) as error:
        print(f"threaded.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
