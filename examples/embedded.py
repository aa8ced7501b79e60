"""A whole node within a program: reads and writes are plain calls, replication happens beside them.

    python examples/embedded.py                                              # alone
    python examples/embedded.py sip:127.0.0.14:5060 sip:127.0.0.11:5060      # with the nodes of `make demo`

The first address is our own, the others are nodes to join through.
"""

from __future__ import annotations

import asyncio
import sys

from dmqcache import CacheNode, ConfigError, MatchKind


async def run(own: str, seeds: list[str]) -> None:
    # The options of `dmqcache serve`, by name. No servers are opened unless they get an address.
    async with CacheNode(server_address=own, notification_address=seeds, tables=["users"]) as node:
        await node.wait_ready(30)
        users = node.table("users")
        print(f"joined {len(node.bus.active_nodes())} other nodes; users holds {len(users)} cells")

        # A table is used like a dict. Values are texts, bytes or integers.
        users["carol"] = "sip:carol@192.0.2.9"
        users.set("dave", "sip:dave@192.0.2.10", ttl=60)
        users.incr("logins")
        print("carol is at", users["carol"], "and dave's entry lives", round(users.ttl("dave") or 0), "s")

        # Nothing above waited for the network. Whoever must know that the others have it, waits here.
        print("acknowledged by", await node.wait_replicated(timeout=5), "other nodes")

        print("keys with an a:", users.match(MatchKind.CONTAINS, "a"))
        del users["carol"]
        print("carol is", users.get("carol"))
        await node.wait_replicated(timeout=5)


def main() -> int:
    own, *seeds = sys.argv[1:] or ["sip:127.0.0.14:5060"]
    try:
        asyncio.run(run(own, seeds))
    except KeyboardInterrupt:
        return 130
    except (ConfigError, OSError) as error:
        print(f"embedded.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
