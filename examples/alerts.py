"""A program that takes part in a DMQ channel with nothing but a Redis client.

Start a node with the channel, then this. What a Kamailio's script sends with
``dmq_bcast_message("alerts", "...", "text/plain")`` is printed, and what other such programs say:

    dmqcache serve --channel alerts
    python examples/alerts.py redis://127.0.0.1:6380
"""

from __future__ import annotations

import json
import sys

import redis


def main(url: str) -> None:
    """Say hello to all nodes, then print what comes."""
    client = redis.Redis.from_url(url, decode_responses=True)
    subscription = client.pubsub(ignore_subscribe_messages=True)
    subscription.subscribe("dmq:alerts")
    print("nodes and their answers:", client.execute_command("DMQ.BROADCAST", "alerts", "hello from Python"))
    for message in subscription.listen():
        told = json.loads(message["data"])
        print(f"{told['node']} says: {told.get('body', '(no text)')}", flush=True)


if __name__ == "__main__":
    try:
        main(sys.argv[1] if len(sys.argv) > 1 else "redis://127.0.0.1:6380")
    except (redis.RedisError, ValueError) as problem:  # ValueError: it is no URL
        sys.exit(f"alerts: {problem}")
    except KeyboardInterrupt:
        sys.exit(130)
