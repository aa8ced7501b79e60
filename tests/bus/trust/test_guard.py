"""A bus with a key, on virtual time: who gets a word in, what is replayed, forged or changed, and how a
cluster is moved to a key and from one key to the next without a pause."""

from __future__ import annotations

import pytest

from dmqcache.bus.allow import AllowList, parse_entry
from dmqcache.bus.bus import Bus
from dmqcache.bus.node import OWN_TAG
from dmqcache.bus.peer import SILENCE, Reply, Response
from dmqcache.bus.sip.sip_message import SipResponse, parse_message
from dmqcache.bus.sip.uri import Endpoint, NodeURI
from dmqcache.bus.trust import guard, window
from dmqcache.bus.trust.guard import KeyPolicy
from dmqcache.bus.trust.keys import KEY_BYTES, Key, KeyRing
from dmqcache.bus.trust.standing import REFUSAL_BURST
from tests.bus.one_node import Recorder
from tests.bus.virtual import Cluster, Stranger, kamailio

A, B, C, K = "127.0.0.11", "127.0.0.12", "127.0.0.13", "127.0.0.14"
OLD, NEW = Key(b"o" * KEY_BYTES), Key(b"n" * KEY_BYTES)


def policy(*keys: Key, required: bool = True, kamailio: str = "") -> KeyPolicy:
    listed = AllowList([parse_entry(kamailio)] if kamailio else [])
    return KeyPolicy(KeyRing(keys or (OLD,)), required, listed)


def recorded(bus: Bus, channel: str = "htable") -> Recorder:
    recorder = Recorder(channel)
    bus.register_peer(recorder)
    return recorder


def keyed(cluster: Cluster, *hosts: str, key: KeyPolicy | None = None) -> list[Recorder]:
    """Nodes that are there and know each other, with a peer each."""
    peers = [recorded(cluster.add(host, A, B, key=key or policy())) for host in hosts]
    cluster.clock.run_until(cluster.meshed, 30)
    return peers


def sent(cluster: Cluster, source: str, to: str, what: bytes = b"KDMQ sip:htable@") -> list[bytes]:
    """Datagrams that one host has sent to the other."""
    return [
        data
        for _, one, other, data in cluster.net.log
        if (one.host, other.host) == (source, to) and what in data
    ]


def say(cluster: Cluster, peer: Recorder, to: str, body: bytes = b"hello") -> list[Response]:
    """Send something, and wait for its answer."""
    assert peer.bus is not None
    answers: list[Response] = []
    peer.bus.send_message(peer, body, NodeURI.parse(f"sip:{to}"), on_response=answers.append)
    cluster.clock.run_until(lambda: bool(answers), 40)
    return answers


def replay(cluster: Cluster, data: bytes, source: str, to: str) -> list[SipResponse]:
    """Send a datagram once more, as from where it came; what that host is answered."""
    before = len(cluster.net.log)
    cluster.net.send(data, Endpoint("udp", source, 5060), Endpoint("udp", to, 5060))
    cluster.clock.run(0.01)
    back = [
        parse_message(data)
        for _, one, other, data in cluster.net.log[before:]
        if (one.host, other.host) == (to, source) and data.startswith(b"SIP/2.0")
    ]
    return [one for one in back if isinstance(one, SipResponse)]


def test_nodes_with_a_key_sign_all_and_believe_each_other() -> None:
    cluster = Cluster()
    one, two = keyed(cluster, A, B)
    assert say(cluster, one, B)[0].status == 200 and [m.body for m in two.messages] == [b"hello"]
    for bus in cluster.buses.values():
        assert not bus.counters.drops
        assert {bus.key_standing(node) for node in bus.list_nodes()} == {"yes"}
    assert all(b"\r\nDMQ-Signature: v=1;key=" in data for _, _, _, data in cluster.net.log)


@pytest.mark.parametrize("seed", range(3))
def test_a_lossy_network_that_doubles_and_reorders_changes_nothing(seed: int) -> None:
    """Every message is handled once, and answered, though a third of the datagrams is lost."""
    cluster = Cluster(seed=seed, loss=0.3)
    plain = cluster.net.send

    def doubled(data: bytes, source: Endpoint, to: Endpoint) -> None:
        for _ in range(cluster.clock.random.choice((1, 1, 2))):
            pause = cluster.clock.random.choice((0.0, 0.0, 0.3))
            cluster.clock.call_later(pause, lambda: plain(data, source, to))

    cluster.net.send = doubled  # type: ignore[method-assign]
    one, two = keyed(cluster, A, B)
    answers: list[Response] = []
    assert one.bus is not None
    for number in range(200):
        one.bus.send_message(one, b"%d" % number, NodeURI.parse(f"sip:{B}"), on_response=answers.append)
        cluster.clock.run(0.01)
    cluster.clock.run_until(lambda: len(answers) == 200, 60)
    answered = sum(answer.status == 200 for answer in answers)
    assert answered >= 195  # 11 sends of one message may all be lost
    assert len({message.body for message in two.messages}) == len(two.messages) >= answered


def test_a_node_that_starts_anew_is_believed_and_what_was_for_its_former_life_goes_again() -> None:
    cluster = Cluster()
    one, _ = keyed(cluster, A, B)
    cluster.kill(B)
    two = recorded(cluster.add(B, A, key=policy()))
    assert say(cluster, one, B)[0].status == 200 and len(two.messages) == 1
    cluster.clock.run_until(cluster.meshed, 30)


def test_a_recorded_message_counts_never_again() -> None:
    cluster = Cluster()
    one, two = keyed(cluster, A, B)
    say(cluster, one, B)
    data = sent(cluster, A, B)[-1]
    assert [answer.status for answer in replay(cluster, data, A, B)] == [200]  # as a repetition
    cluster.clock.run(100)
    assert replay(cluster, data, A, B) == []
    assert replay(cluster, data, K, B) == []
    bus = cluster.buses[B]
    assert bus.counters.drops["replayed"] == 2 and len(two.messages) == 1
    # Nor in the receiver's next life: it only asks for the token, by a reply that is no larger.
    cluster.kill(B)
    two = recorded(cluster.add(B, A, key=policy()))
    cluster.clock.run(5)
    (answer,) = replay(cluster, data, A, B)
    assert answer.status == 401 and answer.headers.get("www-authenticate") == "DMQ-Signature"
    assert not two.messages
    challenge = next(d for _, _, _, d in reversed(cluster.net.log) if d.startswith(b"SIP/2.0 401"))
    assert len(challenge) <= len(data)


@pytest.mark.parametrize(("before", "after"), [(b"hello", b"HELLO"), (b"Forwards: 1", b"Forwards: 9")])
def test_a_message_that_is_changed_on_its_way_does_not_count(before: bytes, after: bytes) -> None:
    cluster = Cluster()
    one, two = keyed(cluster, A, B)
    carry = cluster.net.send

    def changed(data: bytes, source: Endpoint, to: Endpoint) -> None:
        carry(data.replace(before, after) if b"htable@" in data else data, source, to)

    cluster.net.send = changed  # type: ignore[method-assign]
    assert say(cluster, one, B)[0].status == 408
    assert not two.messages and cluster.buses[B].counters.drops["bad_signature"] > 5


def test_a_reply_that_is_changed_on_its_way_does_not_count() -> None:
    cluster = Cluster()
    one, _ = keyed(cluster, A, B)
    carry = cluster.net.send
    cluster.net.send = lambda data, source, to: carry(  # type: ignore[method-assign]
        data.replace(b"SIP/2.0 200 OK", b"SIP/2.0 404 OK") if source.host == B else data, source, to
    )
    assert say(cluster, one, B)[0].status == 408
    assert cluster.buses[A].counters.drops["bad_signature"] > 5


def test_what_no_handler_took_may_come_again() -> None:
    """A channel without a peer, and a handler that is silent: copies of the request are as good as new."""
    cluster = Cluster()
    one, two = keyed(cluster, A, B)
    two.reply = Reply(SILENCE)
    assert say(cluster, one, B)[0].status == 408
    assert len(two.messages) > 5 and not cluster.buses[B].counters.drops["replayed"]
    other = recorded(cluster.buses[A], "usrloc")
    say(cluster, other, B)
    data = sent(cluster, A, B, b"KDMQ sip:usrloc@")[-1]
    assert [answer.status for answer in replay(cluster, data, A, B)] == [404]


# -- who has no key


def test_a_stranger_without_the_key_gets_no_word_in_and_hardly_one_out() -> None:
    cluster = Cluster()
    keyed(cluster, A, B)
    stranger = kamailio(cluster, K)
    before = len(cluster.net.log)
    datagrams = [stranger.request(A, channel) for channel in ("notification_peer", "htable", "x") * 100]
    datagrams.append(stranger.request(A, "htable", method="OPTIONS"))
    stranger.send(A, datagrams[0][:-1])
    cluster.clock.run(5)
    bus = cluster.buses[A]
    assert NodeURI.parse(f"sip:{K}") not in bus.nodes and not stranger.requests
    assert bus.counters.drops["unsigned"] == 301
    out = [data for _, source, to, data in cluster.net.log[before:] if to.host == K]
    assert [answer.status for answer in stranger.responses] == [403] * int(REFUSAL_BURST) == [403] * len(out)
    assert max(map(len, out)) <= max(map(len, datagrams))
    assert [row[:2] for row in bus.turned_away()] == [(NodeURI.parse(f"sip:{K}"), "no")]


def test_a_listed_kamailio_is_a_node_and_nothing_more() -> None:
    """It takes part on Kamailio's channels; what it says of being a dmqcache node does not count."""
    cluster = Cluster()
    other = kamailio(cluster, K)
    other.extra = (("Supported", OWN_TAG),)
    bus = cluster.add(A, K, key=policy(kamailio="127.0.0.14/32"))
    peer, private = recorded(bus), recorded(bus, "private")
    private.key_holders_only = True
    cluster.clock.run(5)
    node = bus.nodes.get(other.uri)
    assert node is not None and node.active and not node.ours and bus.key_standing(node) == "kamailio"
    other.request(A, "htable", b"1")
    other.request(A, "private", b"2")
    other.settle()
    assert [message.body for message in peer.messages] == [b"1"] and not private.messages
    assert peer.messages[0].supported == frozenset() and bus.counters.drops == {"unsigned": 1}
    assert say(cluster, peer, K)[0].status == 200
    assert all(b"DMQ-Signature" not in data for data in sent(cluster, A, K))


def test_nobody_speaks_unsigned_in_the_name_of_a_node_that_signs() -> None:
    """A datagram's source can be forged; there a Kamailio and a dmqcache node share a host."""
    cluster = Cluster()
    one, _ = keyed(cluster, A, B, key=policy(kamailio="127.0.0.0/24"))
    forger = Stranger(cluster, B, 5099)
    forger.uri = NodeURI.parse(f"sip:{B}")
    forger.request(A, "htable", b"forged")
    forger.settle()
    assert not one.messages and cluster.buses[A].counters.drops["unsigned"] == 1
    node = cluster.buses[A].nodes.get(forger.uri)
    assert node is not None and node.ours


def test_a_kamailio_that_is_not_listed_is_turned_away(caplog: pytest.LogCaptureFixture) -> None:
    cluster = Cluster()
    kamailio(cluster, K)
    bus = cluster.add(A, K, key=policy())
    cluster.clock.run(5)
    assert not bus.active_nodes() and bus.counters.drops["unsigned"]
    assert "127.0.0.14 port 5060 comes without the bus key and is turned away" in caplog.text
    assert [bus.key_standing(node) for node in bus.list_nodes()] == ["yes", "no"]


@pytest.mark.parametrize(("key", "standing"), [(None, "wanted"), (NEW, "other")])
def test_both_sides_are_told_of_a_wrong_key_or_none(
    key: Key | None, standing: str, caplog: pytest.LogCaptureFixture
) -> None:
    cluster = Cluster()
    right = cluster.add(A, B, key=policy())
    wrong = cluster.add(B, A, key=None if key is None else policy(key))
    cluster.clock.run(5)
    assert not right.active_nodes() and not wrong.active_nodes()
    assert [wrong.key_standing(node) for node in wrong.nodes.others()] == [standing]
    assert [right.key_standing(node) for node in right.nodes.others()] == ["no" if key is None else "other"]
    said = [r.getMessage() for r in caplog.records if r.name == "dmqcache.bus.trust.standing"]
    assert len(said) == 2 and all(OLD.name in line for line in said if B not in line)


# -- from no key to one, and from one to the next


def step(cluster: Cluster, host: str, key: KeyPolicy | None) -> Recorder:
    """Start a node anew with another policy, and wait until all nodes hold each other active."""
    cluster.kill(host)
    peer = recorded(cluster.add(host, *{A, B} - {host}, key=key))
    cluster.clock.run_until(lambda: cluster.meshed() and all_talk(cluster), 30)
    return peer


def all_talk(cluster: Cluster) -> bool:
    return all(node.ours for bus in cluster.buses.values() for node in bus.active_nodes())


def test_a_cluster_is_moved_to_a_key_node_by_node(caplog: pytest.LogCaptureFixture) -> None:
    cluster = Cluster()
    hosts = (A, B, C)
    peers = {host: recorded(cluster.add(host, A, B)) for host in hosts}
    cluster.clock.run_until(cluster.meshed, 30)

    def everybody_is_heard() -> None:
        for one in hosts:
            for other in hosts:
                if one != other:
                    assert say(cluster, peers[one], other)[0].status == 200

    for required in (False, True):
        for host in hosts:
            peers[host] = step(cluster, host, policy(required=required))
            everybody_is_heard()
            if not required and host == A:
                bus = cluster.buses[A]
                assert [bus.key_standing(node) for node in bus.nodes.others()] == ["no", "no"]
                assert "still comes without the bus key" in caplog.text
        cluster.clock.run(5)
        for bus in cluster.buses.values():
            assert [bus.key_standing(node) for node in bus.nodes.others()] == ["yes", "yes"]
            assert not bus.counters.drops["unsigned"] and not bus.turned_away()


def test_keys_are_exchanged_while_all_run() -> None:
    cluster = Cluster()
    peers = dict(zip((A, B, C), keyed(cluster, A, B, C), strict=True))
    for ring in ((OLD, NEW), (NEW, OLD), (NEW,)):
        for host in (A, B, C):
            cluster.buses[host].guard.use(KeyRing(ring))
            for one, other in ((A, B), (B, C), (C, A), (B, A)):
                assert say(cluster, peers[one], other)[0].status == 200
    cluster.clock.run(5)
    assert cluster.meshed()
    assert all(not bus.counters.drops["unknown_key"] for bus in cluster.buses.values())


def test_a_node_without_a_key_takes_none_while_it_runs() -> None:
    with pytest.raises(ValueError, match="without a key"):
        Cluster().add(A).guard.use(KeyRing((OLD,)))


def test_numbers_that_run_out_begin_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "MAX_NUMBER", 20)
    cluster = Cluster()
    one, two = keyed(cluster, A, B)
    for number in range(100):
        assert say(cluster, one, B, b"%d" % number)[0].status == 200
    assert [int(message.body) for message in two.messages] == list(range(100))
    assert not cluster.buses[B].counters.drops


def test_each_receiver_is_numbered_in_a_row_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """However much goes to others, a repetition to this one is never too far behind."""
    monkeypatch.setattr(window, "WINDOW", 64)
    cluster = Cluster()
    one, _, three = keyed(cluster, A, B, C)
    assert one.bus is not None
    answers: list[Response] = []
    lost = True
    carry = cluster.net.send

    def lossy(data: bytes, source: Endpoint, to: Endpoint) -> None:
        if not (lost and to.host == C and b"htable@" in data):
            carry(data, source, to)

    cluster.net.send = lossy  # type: ignore[method-assign]
    one.bus.send_message(one, b"late", NodeURI.parse(f"sip:{C}"), on_response=answers.append)
    for _ in range(100):
        one.bus.send_message(one, b"", NodeURI.parse(f"sip:{B}"), repeat=False)
    cluster.clock.run(1)
    lost = False
    cluster.clock.run_until(lambda: bool(answers), 10)
    assert answers[0].status == 200 and [message.body for message in three.messages] == [b"late"]
