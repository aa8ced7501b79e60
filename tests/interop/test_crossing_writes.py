"""Two nodes write the same key at nearly the same moment: soon no node differs. And nothing old returns.

Two Kamailio nodes alone keep such pairs different for good; one dmqcache beside them mends them.
"""

import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.interop.cluster import Cluster
from tests.interop.daemon import wait_until
from tests.interop.kamailio import Kamailio
from tests.interop.lineups import LINEUPS, ONE, each_lineup
from tests.interop.releases import RELEASES

pytestmark = pytest.mark.interop

PAIRS, FEWER_PAIRS = 1000, 250
"""In each of three kinds of clusters; fewer beside each release by itself but one."""
LANES = 4
"""So many pairs are under way at once."""
EQUAL_S = 20.0
"""Two seconds are promised; a machine that is busy with other work, or stands still, needs longer. What it
took is printed. The next comparison of the tables comes later than that."""
WORKER_STOPPED_S = 3.0
"""Longer than for what is told once more by itself."""
QUIET_S = 1.0
PAIR_TIMEOUT_S = 60.0
MANY = 60_000
FILL_TIMEOUT_S = 60.0
ETH_P_IP = 0x0800
CLUSTERS = {
    "two dmqcache, Kamailio beside": ("127.0.43.", ("d1", "d2"), ("d1", "d2")),
    "a dmqcache and a Kamailio": ("127.0.44.", ("d1", "k1"), ("d1", "k1")),
    "two Kamailio, a dmqcache beside": ("127.0.45.", ("k1", "k2", "d1"), ("k1", "k2")),
}


def _deletes(number: int) -> bool:
    """In every fifth pair the second node deletes what was there before."""
    return number % 5 == 0


def _write_pairs(cluster: Cluster, first: str, second: str, pairs: int = PAIRS) -> None:
    """So many keys, each written by both nodes at once; LANES of them side by side."""
    barriers = [threading.Barrier(2, timeout=PAIR_TIMEOUT_S) for _ in range(LANES)]

    def write(name: str, lane: int) -> None:
        for number in range(lane, pairs, LANES):
            barriers[lane].wait()
            if name == second and _deletes(number):
                cluster[name].delete("users", f"pair {number}")
            else:
                cluster[name].set_str("users", f"pair {number}", f"by {name}")

    with ThreadPoolExecutor(2 * LANES) as pool:
        running = [pool.submit(write, name, lane) for lane in range(LANES) for name in (first, second)]
        for future in running:
            future.result(PAIR_TIMEOUT_S)


def _cluster(which: str, lineup: str) -> Cluster:
    net, names, _ = CLUSTERS[which]
    others = [name for name in LINEUPS[lineup].kamailios if name not in names]
    return Cluster(net, (*names, *others), lineup=lineup, shm_mb=1024).join()


@each_lineup
@pytest.mark.parametrize("which", CLUSTERS)
def test_pairs_do_not_differ(which: str, lineup: str) -> None:
    _, _, (first, second) = CLUSTERS[which]
    pairs = PAIRS if lineup in (ONE, "mixed") else FEWER_PAIRS
    with _cluster(which, lineup) as cluster:
        for number in filter(_deletes, range(pairs)):
            cluster[first].set_str("users", f"pair {number}", "before")
        cluster.wait_equal("users", 20)
        _write_pairs(cluster, first, second, pairs)
        end = time.monotonic()
        table = cluster.wait_equal("users", EQUAL_S)
        print(f"{which}: equal {time.monotonic() - end:.2f} s after the last pair")
        for number in range(pairs):
            possible = {f"by {first}", None if _deletes(number) else f"by {second}"}
            assert table.get(f"pair {number}") in possible
        # And so it stays.
        quiet = time.monotonic() + QUIET_S
        wait_until(lambda: time.monotonic() > quiet, 10, "some time passes")
        assert cluster.wait_equal("users", EQUAL_S) == table


@pytest.mark.parametrize("lineup", [ONE, "mixed"])
def test_pairs_in_a_large_table_do_not_differ(lineup: str) -> None:
    with _cluster("two dmqcache, Kamailio beside", lineup) as cluster:
        cluster.dmqcache("d1").set_many("users", ((f"k{number}", "v") for number in range(MANY)))
        for node in cluster.others("d1").values():
            node.wait_count("users", MANY, FILL_TIMEOUT_S)
        _write_pairs(cluster, "d1", "d2")
        end = time.monotonic()
        # What a table of this size holds is read within some seconds.
        table = cluster.wait_equal("users", EQUAL_S)
        print(f"beside {MANY} other cells: equal {time.monotonic() - end:.2f} s after the last pair")
        assert len([key for key in table if key.startswith("pair ")]) >= PAIRS * 4 // 5


@contextmanager
def _stopped_worker(kamailio: Kamailio) -> Iterator[None]:
    """One of its workers of the bus does not go on: it keeps the messages in its queue. The same happens to
    one that sends all cells of a large table to somebody."""
    found = kamailio.rpc("core.psx")
    worker = next(process["PID"] for process in found if process["DSC"].startswith("DMQ WORKER"))
    os.kill(worker, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(worker, signal.SIGCONT)


@each_lineup
def test_what_a_worker_takes_seconds_later_than_the_others_does_not_stay(lineup: str) -> None:
    with _cluster("two dmqcache, Kamailio beside", lineup) as cluster:
        # What is told in these seconds lies in its queue, and is told again to the other workers.
        with _stopped_worker(cluster.kamailio("k1")):
            _write_pairs(cluster, "d1", "d2", PAIRS)
            end = time.monotonic() + WORKER_STOPPED_S
            wait_until(lambda: time.monotonic() > end, 2 * WORKER_STOPPED_S, "some time passes")
        end = time.monotonic()
        cluster.wait_equal("users", EQUAL_S)
        print(f"a worker that stood still: equal {time.monotonic() - end:.2f} s after it went on")


class Recorder:
    """Records the IP packets of UDP on loopback from one host to another, to send them again as they were."""

    def __init__(self, source: str, target: str) -> None:
        self._pair = socket.inet_aton(source) + socket.inet_aton(target)
        self._target = target
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP))
        self._socket.bind(("lo", ETH_P_IP))
        self._socket.settimeout(5.0)

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, *_exc: object) -> None:
        self._socket.close()

    def find(self, word: bytes) -> bytes:
        """The next packet that holds a word; TimeoutError if none comes."""
        deadline = time.monotonic() + 5.0
        while time.monotonic() < deadline:
            packet = self._socket.recv(65535)
            if packet[9] == socket.IPPROTO_UDP and packet[12:20] == self._pair and word in packet:
                return packet
        raise TimeoutError(f"no datagram with {word!r}")

    def send_again(self, packet: bytes) -> None:
        """The same packet from the same address and port. Its checksum was never computed on loopback."""
        head = 4 * (packet[0] & 15)
        again = packet[: head + 6] + struct.pack("!H", 0) + packet[head + 8 :]
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
            raw.sendto(again, (self._target, 0))


@pytest.fixture(scope="module")
def mixed(lineup: str) -> Iterator[Cluster]:
    with Cluster("127.0.46.", ("k1", "d1", "d2"), lineup=lineup) as cluster:
        yield cluster.join()


def _renamed(packet: bytes) -> bytes:
    """The same change in what looks like a new request: another branch, so that only its version tells."""
    before = packet.index(b"branch=z9hG4bK") + len(b"branch=z9hG4bK")
    return packet[:before] + bytes([packet[before] ^ 1]) + packet[before + 1 :]


def _branch(packet: bytes) -> bytes:
    """Which request it is."""
    return packet[packet.index(b"branch=") :].split(b"\r\n", 1)[0].split(b";")[0]


@pytest.mark.parametrize("lineup", RELEASES, scope="module")
@pytest.mark.parametrize(("writer", "new_branch"), [("d2", False), ("d2", True), ("k1", False)])
def test_a_late_duplicate_brings_nothing_back(mixed: Cluster, writer: str, new_branch: bool) -> None:
    key = f"duplicate-{writer}-{new_branch}"
    reader = mixed.dmqcache("d1")
    with Recorder(mixed[writer].host, reader.host) as recorder:
        mixed[writer].set_str("users", key, "old")
        packet = recorder.find(key.encode())
        assert b"KDMQ " in packet
        mixed.wait_value("users", key, "old")
        mixed[writer].delete("users", key)
        mixed.wait_value("users", key, None)
        again = _renamed(packet) if new_branch else packet
        with Recorder(reader.host, mixed[writer].host) as answers:
            recorder.send_again(again)
            # The answer to the duplicate shows that it has been handled.
            assert b" 200 OK" in answers.find(_branch(again))
    mixed.wait_value("users", key, None)
    mixed["k1"].set_str("users", "afterwards", key)
    mixed.wait_value("users", "afterwards", key)
    mixed.wait_value("users", key, None)
