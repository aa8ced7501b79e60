"""A process that is one node and nothing else: its event loop, its signals, its garbage collector."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
from typing import Any

from dmqcache.cache_node import CacheNode
from dmqcache.config.config import Config

log = logging.getLogger("dmqcache")


def run(config: Config) -> None:
    """Run a node until SIGTERM or Ctrl-C, or until its terminal goes. SIGHUP to a node without a terminal has
    it read certificates, keys and names again. ConfigError or OSError if it cannot start."""
    node = CacheNode(config)
    runner = asyncio.Runner(loop_factory=loop_factory())
    with runner:
        runner.run(_serve(node))


def loop_factory() -> Any:
    """uvloop's, where it is installed; else None: asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def tune_collector() -> None:
    """Let Python's cyclic collector look rarely, and never again at what is there now: cells are not tracked,
    and what the servers make holds few cycles. For processes that are a node and nothing else."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def clients_of(config: Config) -> str:
    """Where clients are served: all the doors there are."""
    tls = config.client_tls_address and f"{config.client_tls_address} (TLS)"
    doors = filter(None, (config.client_address, tls, config.client_socket))
    return ", ".join(map(str, doors)) or "off"


def http_of(config: Config) -> str:
    if config.http_address is None:
        return "off"
    return f"{config.http_address} (HTTPS)" if config.http_tls else str(config.http_address)


async def _serve(node: CacheNode) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def asked() -> None:
        """To stop; the second time, at once."""
        if stop.is_set():
            node.hurry()
        stop.set()

    def read_again() -> None:
        log.info("certificates, keys and names are read again")
        node.reload()

    hang_up = asked if sys.stderr.isatty() else read_again
    for number, handler in (
        (signal.SIGTERM, asked),
        (signal.SIGINT, asked),
        (signal.SIGHUP, hang_up),
    ):
        if signal.getsignal(number) is not signal.SIG_IGN:  # under nohup a terminal may go
            loop.add_signal_handler(number, handler)
    await node.start()
    tune_collector()
    config = node.config
    log.info(
        "node %s started: tables %s; peers %s; clients %s; http %s",
        config.server_address,
        ", ".join(node.tables),
        ", ".join(node.peers) or "none",
        clients_of(config),
        http_of(config),
    )
    await stop.wait()
    log.info("leaving the bus")
    await node.stop()
    log.info("stopped")
