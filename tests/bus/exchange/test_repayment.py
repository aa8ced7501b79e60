"""That nobody who has not shown that he is there is sent more than he sent, whatever it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from dmqcache.bus.bus_counters import BusCounters
from dmqcache.bus.exchange import repayment
from dmqcache.bus.exchange.repayment import Repayment
from dmqcache.bus.sip.uri import Endpoint, NodeURI
from dmqcache.bus.trust.guard import KeyPolicy
from tests.bus.one_node import HERE, bench, statuses
from tests.bus.sip.torture import MESSAGES, REQUESTS, as_kdmq
from tests.bus.trust.test_guard import policy
from tests.bus.virtual import Clock, Cluster, Stranger, VirtualRuntime, kamailio

VICTIM = "127.0.0.66"
OURS = (("Supported", "dmqcache-2"),)
LEAST = b"%s sip:x@y SIP/2.0\r\nv:SIP/2.0/UDP h\r\nf:sip:a@h\r\nt:sip:a@h\r\ni:1\r\nCSeq:1 %s\r\n\r\n"
LINES = b"".join(b"sip:127.0.3.%d:5060;status=active\r\n" % number for number in range(200))


def ours(other: Stranger) -> None:
    other.extra = OURS
    other.request(HERE, hops=2, body=b"sip:%s:5060;status=active;instance=abcd\r\n" % VICTIM.encode())


#: What may be sent in the name of a victim, by kind.
KINDS: Mapping[str, Callable[[Stranger], object]] = {
    "ping": lambda other: other.request(HERE, body=b"sip:127.0.0.66:5060;status=active\r\n"),
    "first list of a Kamailio": lambda other: other.request(HERE, hops=2),
    "first list of a dmqcache": ours,
    "long list": lambda other: other.request(HERE, hops=2, body=LINES),
    "goodbye": lambda other: other.request(HERE, body=b"sip:127.0.0.66:5060;status=disabled\r\n"),
    "knock": lambda other: other.request(HERE, "dmqcache_knock"),
    "unknown channel": lambda other: other.request(HERE, "usrloc", b"x"),
    "htable set": lambda other: other.request(HERE, "htable", b'{"action":1}'),
    "sync request": lambda other: other.request(HERE, "htable", b'{"action":5}'),
    "OPTIONS": lambda other: other.request(HERE, method="OPTIONS"),
    "INVITE": lambda other: other.request(HERE, method="INVITE"),
    "by a name": lambda other: other.request(HERE, sender=NodeURI.parse("sip:one.example")),
    "another port": lambda other: other.request(HERE, sender=NodeURI.parse("sip:127.0.0.66:5099")),
    "in our own name": lambda other: other.request(HERE, sender=NodeURI.parse(f"sip:{HERE}")),
    "least": lambda other: other.send(HERE, LEAST % (b"KDMQ", b"KDMQ")),
    "least OPTIONS": lambda other: other.send(HERE, LEAST % (b"OPTIONS", b"OPTIONS")),
    "least, broken": lambda other: other.send(HERE, b"A b SIP/2.0\r\nv:SIP/2.0/UDP h\r\n\r\n"),
    "least of a version": lambda other: other.send(HERE, b"A b SIP/3.0\r\nv:SIP/2.0/UDP h\r\n\r\n"),
    **{
        f"torture {name}": lambda other, name=name: other.send(HERE, MESSAGES[name][0])  # type: ignore[misc]
        for name in REQUESTS
    },
    **{
        f"torture {name} as KDMQ": lambda other, name=name: other.send(  # type: ignore[misc]
            HERE, as_kdmq(MESSAGES[name][0])
        )
        for name in REQUESTS
    },
}


def mute(cluster: Cluster) -> Stranger:
    """Somebody who has asked for nothing, and does not answer."""
    victim = Stranger(cluster, VICTIM)
    cluster.net.receivers[victim.endpoint] = lambda data, source: None
    return victim


def amplified(cluster: Cluster) -> float:
    """Bytes to the victim for each byte in its name."""
    came = sum(len(data) for _, source, _, data in cluster.net.log if source.host == VICTIM)
    went = sum(len(data) for _, _, to, data in cluster.net.log if to.host == VICTIM)
    return went / came


@pytest.mark.parametrize("key", [None, policy(required=False), policy()], ids=["no key", "moving", "key"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_kind_of_request_brings_more_bytes_than_it_has(kind: str, key: KeyPolicy | None) -> None:
    cluster, bus, _, _ = bench(key=key, known=key is None)
    cluster.names.table["one.example"] = [VICTIM]
    victim = mute(cluster)
    for _ in range(3):
        KINDS[kind](victim)
        cluster.clock.run(0.1)
    assert amplified(cluster) <= 1.0
    cluster.clock.run(20)
    assert amplified(cluster) <= 1.0
    assert not bus.counters.drops["internal_error"]


def test_a_recorded_request_of_a_node_that_is_gone_brings_no_more_either() -> None:
    cluster = Cluster()
    for host in (HERE, VICTIM):
        cluster.add(host, HERE, key=policy())
    cluster.clock.run_until(cluster.meshed, 30)
    recorded = [data for _, source, to, data in cluster.net.log if source.host == VICTIM and to.host == HERE]
    cluster.kill(VICTIM)
    cluster.clock.run(30)
    cluster.buses[HERE].remove_node(f"sip:{VICTIM}")
    cluster.clock.run(60)
    cluster.net.log.clear()
    victim = mute(cluster)
    for data in recorded:
        victim.send(HERE, data)
        cluster.clock.run(1)
    assert amplified(cluster) <= 1.0


def test_who_is_there_gets_its_answer_at_once() -> None:
    cluster, bus, _, _ = bench(known=False)
    other = kamailio(cluster, VICTIM)
    other.request(HERE, body=b"sip:127.0.0.66:5060;status=active\r\n")
    cluster.clock.run(0.005)
    assert statuses(other) == [200] and len(bus.active_nodes()) == 1
    assert not bus.counters.drops["unpaid"]


def test_a_monitor_gets_its_answers() -> None:
    cluster, bus, _, _ = bench(known=False)
    monitor = Stranger(cluster, VICTIM)
    for _ in range(3):
        monitor.request(HERE, method="OPTIONS")
        cluster.clock.run(1)
    assert statuses(monitor) == [200, 200, 200]
    assert monitor.responses[0].headers.get("allow") == "KDMQ, OPTIONS"
    assert not bus.counters.drops["unpaid"]


def account(known: bool | None = False) -> tuple[Repayment, list[bytes], BusCounters, Clock]:
    sent: list[bytes] = []
    counters, clock = BusCounters(), Clock()
    runtime = VirtualRuntime(clock)
    made = Repayment(runtime, lambda host: known, counters, lambda data, to: sent.append(data))
    return made, sent, counters, clock


AT = Endpoint("udp", VICTIM, 5060)


def test_what_came_counts_for_a_while_and_once() -> None:
    made, sent, counters, clock = account()
    made.came(100, AT)
    made.send(b"x" * 60, AT)
    made.send(b"x" * 60, AT)
    assert sent == [b"x" * 60] and counters.drops["unpaid"] == 1
    assert made.fits(40, AT) and not made.fits(41, AT)
    clock.run(repayment.WINDOW + 0.1)
    assert not made.fits(1, AT)
    made.came(10, AT)
    assert made.fits(10, AT) and not made.fits(11, AT)


def test_an_answer_waits_for_who_is_asked_and_goes_then_if_it_is_paid() -> None:
    made, sent, counters, clock = account()
    made.send(b"SIP/2.0 200", AT)
    clock.run(repayment.KEPT_SECONDS)
    assert not sent and counters.drops["unpaid"] == 1
    made.came(11, AT)
    made.send(b"SIP/2.0 200", AT)
    made.settle()
    assert not sent
    clock.run(repayment.KEPT_SECONDS)
    assert sent == [b"SIP/2.0 200"] and counters.drops["unpaid"] == 1
    clock.run(repayment.KEPT_SECONDS)
    assert not clock.pending


def test_connections_known_hosts_and_our_own_calls_pass() -> None:
    made, sent, _, _ = account()
    made.send(b"SIP/2.0 200", Endpoint("tcp", VICTIM, 5060))
    known, more, _, _ = account(True)
    known.send(b"SIP/2.0 200", AT)
    nobody, most, _, _ = account(None)
    nobody.send(b"KDMQ", AT)
    nobody.send(b"SIP/2.0 200", AT)
    assert most == [b"KDMQ"]
    nobody.came(11, AT)
    nobody.settle()
    assert sent == more == [b"SIP/2.0 200"] and most == [b"KDMQ", b"SIP/2.0 200"]
    assert made.fits(1, Endpoint("tls", VICTIM, 1)) and known.fits(10**6, AT)
