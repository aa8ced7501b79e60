"""``dmqcache demo``: three real nodes on loopback, a set that travels, and lines to try next.

The nodes are processes of their own, started as an operator would start them, so that one can be killed to
see what the others do. They end with the demo.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dmqcache.cli import render
from dmqcache.cli.client import Client, CommandFailed, NodeUnreachable
from dmqcache.defaults import CLIENT_PORT, HTTP_PORT

TABLE = "users"
#: Of the table, here and on a Kamailio that joins: without one, Kamailio takes no time to live.
AUTOEXPIRE = 3600
#: Seconds until three nodes on one machine know each other; they need about one.
START_S = 60.0
#: Seconds between two looks.
POLL_S = 0.05
#: The addresses and first ports that are tried in turn: each node its own address with the default ports;
#: then higher ports; then, where the system has only 127.0.0.1 (macOS), one address and ports in a row.
OWN_ADDRESSES = ("127.0.0.11", "127.0.0.12", "127.0.0.13")
ONE_ADDRESS = ("127.0.0.1", "127.0.0.1", "127.0.0.1")
PORTS = (5060, CLIENT_PORT, HTTP_PORT)
OTHER_PORTS = (15060, 16380, 19180)
PLANS = ((OWN_ADDRESSES, PORTS, 0), (OWN_ADDRESSES, OTHER_PORTS, 0), (ONE_ADDRESS, OTHER_PORTS, 1))


@dataclass(frozen=True, slots=True)
class Place:
    """Where one node of the demo lives."""

    host: str
    sip: int
    client: int
    http: int

    @property
    def address(self) -> str:
        """Where its clients connect."""
        return f"{self.host}:{self.client}"

    def flags(self, places: Sequence[Place]) -> list[str]:
        """The flags of its ``dmqcache serve``; each joins through all others."""
        flags = ["--server-address", f"sip:{self.host}:{self.sip}", "--client-address", self.address]
        flags += ["--http-address", f"{self.host}:{self.http}", "--log-level", "warning"]
        flags += ["--table", f"{TABLE}=>autoexpire={AUTOEXPIRE}"]
        for other in places:
            if other != self:
                flags += ["--notification-address", f"sip:{other.host}:{other.sip}"]
        return flags


class DemoFailed(Exception):
    """One line that says what stood in the way."""


def run() -> int:
    """Run the demo until Ctrl-C, or until its terminal closes; returns the exit code."""
    nodes: list[subprocess.Popen[bytes]] = []
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        places = choose()
        nodes += [_start(place, places) for place in places]
        _show(places, nodes)
        _stay(nodes)
    except DemoFailed as problem:
        print(f"dmqcache: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopping the nodes", flush=True)
    finally:
        _end(nodes)
    return 0


def choose() -> list[Place]:
    """The first plan of which every address is free. DemoFailed names what is in the way."""
    problem = ""
    for hosts, ports, step in PLANS:
        places = [Place(host, *(port + step * number for port in ports)) for number, host in enumerate(hosts)]
        busy = [reason for place in places if (reason := _busy(place))]
        if not busy:
            if problem:
                print(f"{problem}; using other ports")
            return places
        problem = busy[0]
    raise DemoFailed(f"no free addresses for three nodes: {problem}")


def _busy(place: Place) -> str:
    """Why a node cannot live there, or nothing."""
    wanted = ((socket.SOCK_DGRAM, place.sip), (socket.SOCK_STREAM, place.sip))
    for kind, port in (*wanted, (socket.SOCK_STREAM, place.client), (socket.SOCK_STREAM, place.http)):
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((place.host, port))
            except OSError as error:
                reason = "is in use" if error.errno == errno.EADDRINUSE else "cannot be had"
                return f"{place.host}:{port} {reason}"
    return ""


def _start(place: Place, places: Sequence[Place]) -> subprocess.Popen[bytes]:
    # What is set for the operator's own node is not meant for these.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("DMQCACHE_")}
    command = [sys.executable, "-m", "dmqcache", "serve", *place.flags(places)]
    # In a session of its own: Ctrl-C is for the demo, which ends its nodes itself.
    return subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL, start_new_session=True)


def _show(places: Sequence[Place], nodes: Sequence[subprocess.Popen[bytes]]) -> None:
    first, _, third = places
    print("starting three nodes ...", flush=True)
    for place in places:
        _wait_for_nodes(place, len(places), nodes)
    with Client(first.address) as writer, Client(third.address) as reader:
        writer.select(TABLE)
        reader.select(TABLE)
        began = time.perf_counter()
        writer.set("alice", "sip:alice@192.0.2.7")
        while (cell := reader.get("alice")) is None:
            if time.perf_counter() - began > START_S:
                raise DemoFailed("the third node never saw the set")
        milliseconds = (time.perf_counter() - began) * 1000
        print(f"set alice on {first.address}; seen on {third.address} {milliseconds:.1f} ms later:")
        print(f"  {cell.value}")
        print()
        render.table(reader.report("nodes"), "people")
    print(_next_lines(places, nodes), flush=True)


def _wait_for_nodes(place: Place, count: int, nodes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Until the node there sees ``count`` active ones."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if any(node.poll() is not None for node in nodes):
            raise DemoFailed("a node did not start; what it said stands above")
        with contextlib.suppress(NodeUnreachable, CommandFailed), Client(place.address) as client:
            rows = client.report("nodes")
            if sum(row["status"] == "active" for row in rows) >= count:
                return
        time.sleep(POLL_S)
    raise DemoFailed(
        f"the node at {place.address} does not see the others after {START_S:g} s; this machine may "
        "be too busy, or keep them apart: what the nodes said stands above"
    )


def _next_lines(places: Sequence[Place], nodes: Sequence[subprocess.Popen[bytes]]) -> str:
    first, second, third = places
    dmqcache = _command()
    return f"""
Try in another terminal:
  {dmqcache} set {TABLE} bob hello --ttl 60 --node {first.address}
  {dmqcache} dump {TABLE} --node {third.address}
  redis-cli -h {second.host} -p {second.client} set carol 1
  kill -9 {nodes[1].pid}; sleep 5; {dmqcache} nodes --node {first.address}
  http://{first.host}:{first.http}/ in a browser
A Kamailio node joins with
  modparam("dmq", "notification_address", "sip:{first.host}:{first.sip}")
  modparam("htable", "htable", "{TABLE}=>autoexpire={AUTOEXPIRE};dmqreplicate=1;")

Ctrl-C stops the three nodes."""


def _command() -> str:
    """How this very program is called from here: `make demo` runs it out of a virtual environment that no
    shell looks into."""
    script = Path(sys.executable).with_name("dmqcache")
    found = shutil.which("dmqcache")
    if not script.exists() or (found is not None and Path(found).resolve() == script.resolve()):
        return "dmqcache"
    inside = script.is_relative_to(Path.cwd())
    return shlex.quote(str(script.relative_to(Path.cwd()) if inside else script))


def _stay(nodes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Until Ctrl-C, or until somebody has ended all nodes."""
    gone: set[int] = set()
    while len(gone) < len(nodes):
        for number, node in enumerate(nodes, 1):
            if node.poll() is not None and number not in gone:
                gone.add(number)
                print(f"node {number} (process {node.pid}) has ended", flush=True)
        time.sleep(POLL_S)


def _end(nodes: Sequence[subprocess.Popen[bytes]]) -> None:
    for node in nodes:
        node.terminate()
    for node in nodes:
        try:
            node.wait(5)
        except subprocess.TimeoutExpired:
            node.kill()
            node.wait()
