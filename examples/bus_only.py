"""The bus without a cache: join, publish some users with the peer of ``presence.py``, watch the others.

    python examples/bus_only.py sip:127.0.0.21:5060 sip:127.0.0.11:5060 alice=open bob=busy

The first address is our own, the second any node of the bus, dmqcache or Kamailio. Run it in two terminals
with two own addresses; Ctrl-C leaves.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys

from presence import Presence

from dmqcache import Bus, URIError, open_bus


async def watch(own: str, seed: str, users: dict[str, str]) -> None:
    presence = Presence()

    def prepare(bus: Bus) -> None:
        """Before the first message, so that none is missed."""
        bus.register_peer(presence)

    async with open_bus(own, seed, prepare=prepare) as bus:
        for user, state in users.items():
            presence.publish(user, state)
        shown: list[str] = []
        while True:
            nodes = [f"{node.uri} {node.status}" for node in bus.list_nodes() if not node.local]
            lines = [f"nodes: {', '.join(nodes) or 'none yet'}", f"users: {presence.users}"]
            if lines != shown:
                print(*lines, sep="\n", flush=True)
                shown = lines
            await asyncio.sleep(0.2)


def main() -> int:
    if len(sys.argv) < 3 or any("=" not in word for word in sys.argv[3:]):
        print("usage: bus_only.py OWN_ADDRESS NODE [USER=STATE...]", file=sys.stderr)
        return 2
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    users = dict(word.split("=", 1) for word in sys.argv[3:])
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(watch(sys.argv[1], sys.argv[2], users))
    except (URIError, OSError) as error:
        print(f"bus_only.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
