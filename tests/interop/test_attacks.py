"""What hostile hosts do to two real nodes, without the bus's key and with it, each with its figure.

With ``pytest -s`` the figures are printed. Without a key a bus is open to its network, and that is what some
of the figures show; with one, none of the attacks may do anything.
"""

from __future__ import annotations

import contextlib
import json
import socket
import statistics
import time
from collections.abc import Iterator

import pytest

from dmqcache.bus.nodes.membership import MAX_ON_HOST
from dmqcache.bus.trust.keys import KEY_BYTES, write_key
from dmqcache.store.table.clock import version_at
from tests.interop.attacks import Flood, Impostor, answer_to, bound, drained, forge, htable, kdmq, overheard
from tests.interop.cluster import Cluster
from tests.interop.daemon import wait_until

pytestmark = pytest.mark.interop

NET = "127.0.39."
D1, D2, HOSTILE = f"{NET}11", f"{NET}12", f"{NET}66"
KEYS = 200
YEAR_2248_MS = 8_772_000_000_000
#: Connections that are taken in all, and from one host.
PLACES, PLACES_OF_A_HOST = 512, 64


@pytest.fixture(scope="module", params=["plain", "key"])
def keyed(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "key")


@pytest.fixture(scope="module")
def cluster(keyed: bool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    options = []
    if keyed:
        key = tmp_path_factory.mktemp("key") / "bus.key"
        key.touch(0o600)
        key.write_text(write_key(b"k" * KEY_BYTES))
        options = ["--bus-key-file", str(key)]
    with Cluster(NET, ["d1", "d2"], dmqcache_options=options) as cluster:
        yield cluster.join()


def show(keyed: bool, attack: str, figure: str) -> None:
    print(f"\n{'key  ' if keyed else 'plain'} {attack:58} {figure}", end="")


def filled(cluster: Cluster) -> None:
    for number in range(KEYS):
        cluster["d1"].set("users", f"k{number}", "x")
    cluster.wait_all(lambda node: node.missing(KEYS), 0)


def test_writes_in_a_members_name(cluster: Cluster, keyed: bool) -> None:
    """H1: the source address of a member, from a port beside its own."""
    filled(cluster)
    with bound(D2) as sock:
        for number in range(KEYS // 2):
            sock.sendto(kdmq(D1, f"{D2}:5060", "htable", htable(4, f"k{number}")), (D1, 5060))
        sock.sendto(kdmq(D1, f"{D2}:5060", "htable", htable(2, "forged", "x")), (D1, 5060))
        drained(sock, 1.0)
    gone = cluster["d1"].missing(KEYS)
    forged = cluster["d1"].get("users", "forged")
    show(keyed, "set and removals in a member's name", f"{gone} of {KEYS} keys gone, forged: {forged}")
    assert gone == 0 and forged is None


def test_goodbyes_in_a_members_name(cluster: Cluster, keyed: bool) -> None:
    """H1: four goodbyes a second for a member that stays."""
    away, looks = 0, 0
    with bound(D2) as sock:
        for _ in range(8):
            body = f"sip:{D2}:5060;status=disabled\r\n"
            sock.sendto(kdmq(D1, f"{D2}:5060", body=body), (D1, 5060))
            for _ in range(5):
                looks += 1
                away += cluster.dmqcache("d1").nodes().get(cluster["d2"].uri) != "active"
                time.sleep(0.05)
    show(keyed, "four goodbyes a second in a member's name", f"away at {away} of {looks} looks")
    assert away == 0
    cluster.wait_joined()


def test_a_flush_and_a_goodbye_from_a_members_own_address_and_port(cluster: Cluster, keyed: bool) -> None:
    """H1: the whole source is forged, so that nothing but the member itself can tell."""
    filled(cluster)
    flush = json.dumps({"floors": {"users": version_at(time.time_ns() // 1_000_000)}})
    forge(D2, D1, kdmq(D1, f"{D2}:5060", "dmqcache", flush))
    goodbye = f"sip:{D2}:5060;status=disabled\r\n"
    away, end = 0, time.monotonic() + 3
    while time.monotonic() < end:
        forge(D2, D1, kdmq(D1, f"{D2}:5060", body=goodbye))
        away += cluster.dmqcache("d1").nodes().get(cluster["d2"].uri) != "active"
        time.sleep(0.25)
    gone = [cluster[name].missing(KEYS) for name in ("d1", "d2")]
    refused = cluster.dmqcache("d1").metric(
        "dmqcache_changes_refused_total", table="users", reason="floor_not_confirmed"
    )
    show(keyed, "a flush and goodbyes, the whole source forged", f"{gone} keys gone, away at {away} looks")
    assert gone == [0, 0] and not away
    assert keyed or refused == 1


def test_a_hundred_strangers_that_answer(cluster: Cluster, keyed: bool) -> None:
    """H2: nodes that are none, one for each port of a host, and say so again and again."""
    nodes = 0
    socks = []
    try:
        for _ in range(100):
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.bind((HOSTILE, 0))
            sock.setblocking(False)
            socks.append(sock)
        for _ in range(3):
            for sock in socks:
                me = f"{HOSTILE}:{sock.getsockname()[1]}"
                sock.sendto(kdmq(D1, me, body=f"sip:{me};status=active\r\n"), (D1, 5060))
            end = time.monotonic() + 0.7
            while time.monotonic() < end:
                for sock in socks:
                    try:
                        asked = sock.recv(65_535)
                    except BlockingIOError:
                        continue
                    if asked.startswith(b"KDMQ"):
                        sock.sendto(answer_to(asked), (D1, 5060))
                time.sleep(0.005)
        known = cluster.dmqcache("d1").nodes()
        nodes = sum(status == "active" for uri, status in known.items() if HOSTILE in uri)
        began = time.monotonic()
        for number in range(200):
            cluster["d1"].set("users", f"s{number}", "x")
        each = (time.monotonic() - began) / 200
    finally:
        for sock in socks:
            sock.close()
    show(keyed, "100 hosts that are no nodes, and answer", f"{nodes} active, {each * 1000:.1f} ms a SET")
    assert nodes <= (0 if keyed else MAX_ON_HOST)


def test_three_that_play_dmqcache_nodes_and_claim_the_year_2248(cluster: Cluster, keyed: bool) -> None:
    """H2: who answers one ping counts for WAIT, has a vote on the time and gets the tables."""
    hosts = [f"{NET}{number}" for number in (91, 92, 93)]
    d1 = cluster.dmqcache("d1")

    def active() -> int:
        known = d1.nodes()
        return sum(known.get(f"sip:{host}:5060") == "active" for host in hosts)

    with contextlib.ExitStack() as stack:
        for host in hosts:
            stack.enter_context(Impostor(host, D1, YEAR_2248_MS))
        # With the key: long enough for each to be met, and for several comparisons with it.
        end = time.monotonic() + 6
        wait_until(lambda: time.monotonic() > end if keyed else active() == 3, 20, lambda: str(d1.nodes()))
        figure = f"{active()} active, "
        d1.set("users", "counted", "x")
        copies = d1.call("users", "WAIT", 4, 1_000)
        cluster.wait_value("users", "counted", "x")
    refused = cluster.dmqcache("d2").metric("dmqcache_changes_refused_total", table="users", reason="future")
    figure += f"WAIT: {copies}, refused as of the future: {refused:g}"
    show(keyed, "three that play nodes in the year 2248", figure)
    if keyed:
        assert figure == "0 active, WAIT: 1, refused as of the future: 0"


KINDS = {
    "ping": lambda me: kdmq(D1, me, body=f"sip:{me};status=active\r\n"),
    "knock": lambda me: kdmq(D1, me, "dmqcache_knock"),
    "OPTIONS": lambda me: kdmq(D1, me, method="OPTIONS"),
    "INVITE": lambda me: kdmq(D1, me, method="INVITE"),
    "set": lambda me: kdmq(D1, me, "htable", htable(2, "a", "b")),
    "another channel": lambda me: kdmq(D1, me, "usrloc", "x"),
    "broken": lambda me: kdmq(D1, me).replace(b"CSeq: 10", b"CSeq: x"),
}


def test_amplification(cluster: Cluster, keyed: bool) -> None:
    """H4: bytes to somebody who does not answer, for each byte in his name, over what follows."""
    worst, which = 0.0, ""
    victims = []
    for number, (kind, make) in enumerate(KINDS.items()):
        host = f"{NET}{70 + number}"
        victim = bound(host, 5060)
        sock = victim.__enter__()
        victims.append((kind, victim, sock))
        for _ in range(3):
            sock.sendto(make(f"{host}:5060"), (D1, 5060))
    sent = {kind: 3 * len(make(f"{NET}70:5060")) for kind, make in KINDS.items()}
    end = time.monotonic() + 5
    for kind, victim, sock in victims:
        got = sum(map(len, drained(sock, max(0.05, end - time.monotonic()))))
        victim.__exit__(None, None, None)
        if got / sent[kind] >= worst:
            worst, which = got / sent[kind], kind
    show(keyed, f"amplification, the most of {len(KINDS)} kinds", f"{worst:.2f} ({which})")
    assert worst <= 1.0


def test_a_recording_played_again(cluster: Cluster, keyed: bool) -> None:
    """H7: what a member sent when it set a key, once more after the key was deleted."""
    with overheard(D2, D1) as heard:
        cluster["d2"].set("users", "again", "1")
        cluster.wait_value("users", "again", "1")
    cluster["d1"].delete("users", "again")
    cluster.wait_value("users", "again", None)
    with bound(D2) as sock:
        for data in heard * 3:
            sock.sendto(data, (D1, 5060))
        drained(sock, 1.0)
    back = cluster["d1"].get("users", "again")
    show(keyed, f"{3 * len(heard)} recorded datagrams once more", f"the deleted key: {back}")
    assert heard and back is None


def test_idle_strangers_on_all_places() -> None:
    """H5: all TCP places taken by hosts that say nothing; a node that starts joins all the same. Places are
    given before anything is said: a key changes nothing."""
    with Cluster("127.0.40.", ["d1", "d2"], transport="tcp") as cluster:
        cluster.join()
        cluster["d1"].set("users", "alice", "x")
        cluster.wait_value("users", "alice", "x")
        cluster["d2"].kill()
        held = []
        try:
            for number in range(PLACES + 40):
                sock = socket.socket()
                sock.settimeout(2)
                sock.bind((f"127.0.41.{1 + number // (PLACES_OF_A_HOST - 4)}", 0))
                sock.connect(("127.0.40.11", 5060))
                held.append(sock)
            began = time.monotonic()
            cluster["d2"].restart()
            cluster.wait_joined(20)
            took = time.monotonic() - began
            cluster.wait_value("users", "alice", "x")
        finally:
            for sock in held:
                sock.close()
    show(False, f"{PLACES + 40} idle connections, then a node starts", f"joined and ready after {took:.1f} s")


def test_a_flood_of_strangers_with_an_allow_list() -> None:
    """H3: as many datagrams as this machine makes, from hosts that are not on the list."""
    with Cluster("127.0.42.", ["d1", "d2"], dmqcache_options=["--allow", "127.0.42.0/28"]) as cluster:
        cluster.join()
        floods = [Flood("127.0.42.11", f"127.0.43.{number}") for number in (1, 2)]
        took, active = [], True
        for number in range(300):
            began = time.monotonic()
            cluster["d1"].set("users", f"k{number % 50}", "x")
            assert cluster.dmqcache("d1").call("users", "WAIT", 1, 2000) == 1
            took.append((time.monotonic() - began) * 1000)
            if number % 50 == 0:
                active = active and set(cluster.dmqcache("d1").nodes().values()) == {"active"}
        rate = sum(flood.stop() for flood in floods)
        p50, p99 = statistics.median(took), statistics.quantiles(took, n=100)[98]
        wait_until(lambda: cluster["d2"].get("users", "k49") == "x", 20, "the last set")
        lost = cluster.dmqcache("d1").metric("dmqcache_node_lost_timestamp_seconds")
    show(False, f"flood of {rate:,.0f}/s, with --allow", f"set and WAIT 1: {p50:.1f} ms, p99 {p99:.1f} ms")
    assert active and not lost
