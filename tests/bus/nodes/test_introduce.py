"""Newcomers: who is told of whom, in which order."""

from __future__ import annotations

import pytest

from dmqcache.bus.exchange.repayment import KEPT_SECONDS
from dmqcache.bus.node import NodeStatus
from dmqcache.bus.nodes.introduce import GAP, MAX_WAITING, PROOF_SECONDS, TELL_SECONDS
from dmqcache.bus.sip.sip_message import SipRequest, parse_message
from dmqcache.bus.sip.uri import NodeURI, SipURI
from tests.bus.virtual import Cluster, Stranger, kamailio

HERE = "127.0.0.11"
OLD, NEW = "127.0.0.12", "127.0.0.13"
LINE = b"sip:%s:5060;status=active\r\n"


def bench() -> tuple[Cluster, Stranger, Stranger]:
    """A bus with one active Kamailio, and another one that is about to start."""
    cluster = Cluster()
    cluster.add(HERE, probe_interval=1000.0)
    old = kamailio(cluster, OLD)
    start(old)
    old.settle()
    return cluster, old, kamailio(cluster, NEW)


def start(node: Stranger, sender: NodeURI | None = None) -> None:
    node.request(HERE, body=LINE % (sender or node.uri).host.encode(), hops=2, sender=sender)


def first_lists(cluster: Cluster, since: int) -> dict[str, tuple[float, bytes]]:
    """Host -> when it was first sent a list that names the newcomer (the newcomer: any list), and that."""
    found: dict[str, tuple[float, bytes]] = {}
    for time, source, to, data in cluster.net.log[since:]:
        body = parse_message(data).body
        if source.host == HERE and body and (to.host == NEW or NEW.encode() in body or b"new." in body):
            found.setdefault(to.host, (time, body))
    return found


def test_the_others_know_of_a_newcomer_before_it_gets_its_first_list_which_names_them() -> None:
    cluster, _, new = bench()
    mark = len(cluster.net.log)
    start(new)
    new.settle(1)
    lists = first_lists(cluster, mark)
    (told, list_to_old), (got, list_to_new) = lists[OLD], lists[NEW]
    answered = next(t for t, s, to, data in cluster.net.log[mark:] if s.host == OLD and t > told)
    assert told < answered < got and NEW.encode() in list_to_old and OLD.encode() in list_to_new
    assert cluster.status(HERE, NEW) is NodeStatus.ACTIVE
    assert [answer.status for answer in new.responses] == [200]


def test_a_newcomer_with_a_name_is_introduced_by_it() -> None:
    cluster, _, _ = bench()
    name = NodeURI.parse("new.example")
    cluster.names.table["new.example"] = [NEW]
    new = kamailio(cluster, NEW, name="new.example:5060")
    mark = len(cluster.net.log)
    start(new, name)
    new.settle(1)
    lists = first_lists(cluster, mark)
    assert b"sip:new.example:5060;" in lists[OLD][1] and NEW.encode() not in lists[OLD][1]
    assert lists[OLD][0] < lists[NEW][0] and OLD.encode() in lists[NEW][1]
    assert new.responses[0].status == 200


@pytest.mark.parametrize("known", [False, True])
def test_one_that_does_not_take_note_holds_nobody_up_for_long(known: bool) -> None:
    cluster, old, new = bench()
    if known:
        start(new)
        new.settle(GAP + 1)
        new.responses.clear()
    old.answer = lambda request: None
    start(new)
    cluster.clock.run(TELL_SECONDS / 2)
    assert not new.responses
    cluster.clock.run(TELL_SECONDS)
    assert [answer.status for answer in new.responses] == [200] and OLD.encode() in new.responses[0].body


def test_a_copy_of_the_request_gets_no_answer_before_and_the_same_one_after() -> None:
    cluster, old, new = bench()
    old.answer = lambda request: None
    data = new.request(HERE, body=LINE % NEW.encode(), hops=2)
    cluster.clock.run(0.5)
    new.send(HERE, data)
    cluster.clock.run(0.1)
    assert not new.responses
    cluster.clock.run(1)
    new.send(HERE, data)
    new.settle()
    assert [answer.status for answer in new.responses] == [200, 200]
    assert new.responses[0].body == new.responses[1].body


def test_whoever_shows_nothing_gets_nothing_and_may_ask_again() -> None:
    cluster, _, new = bench()
    behave, new.answer = new.answer, lambda request: None
    data = new.request(HERE, body=LINE % NEW.encode(), hops=2)
    cluster.clock.run(PROOF_SECONDS + 1)
    assert not new.responses and cluster.status(HERE, NEW) is None
    assert all(not request.body for request in new.requests)
    new.answer = behave
    new.send(HERE, data)
    new.settle()
    assert [answer.status for answer in new.responses] == [200]


def test_an_answer_goes_only_where_the_node_is() -> None:
    """A name that is the newcomer's, from another address."""
    cluster, _, new = bench()
    name = NodeURI.parse("new.example")
    cluster.names.table["new.example"] = [NEW]
    stranger = Stranger(cluster, "127.0.0.66")
    start(stranger, name)
    stranger.settle()
    start(new, name)
    cluster.clock.run(1)
    assert not stranger.responses and not stranger.requests and len(new.responses) == 1


def test_answers_that_wait_are_bounded() -> None:
    cluster, _, _ = bench()
    stranger = Stranger(cluster, "127.0.0.66")
    for number in range(MAX_WAITING + 10):
        start(stranger, NodeURI("nowhere.example", 1000 + number))
    stranger.settle(KEPT_SECONDS + 0.1)
    assert [hosts for answer in stranger.responses if OLD.encode() in (hosts := answer.body)] == []
    assert len(stranger.responses) == 10
    cluster.clock.run(PROOF_SECONDS)
    assert not cluster.buses[HERE]._directory._introductions._laters


def test_starts_one_after_the_other_tell_the_others_once() -> None:
    cluster, old, new = bench()
    for _ in range(5):
        start(new)
        new.settle()
    count = sum(NEW.encode() in request.body for request in old.requests)
    assert count <= 2, "one introduction, and the gossip when it became active"
    cluster.clock.run(GAP)
    start(new)
    new.settle()
    assert sum(NEW.encode() in request.body for request in old.requests) == count + 1


def test_a_kamailio_that_comes_back_is_introduced_too() -> None:
    """Without its call, as it may have been lost: it may have started anew."""
    cluster, _, new = bench()
    start(new)
    new.settle(GAP + 1)
    bus = cluster.buses[HERE]
    bus.set_status(new.uri, NodeStatus.TIMEOUT)
    mark = len(cluster.net.log)
    new.request(HERE, "htable")
    new.settle(1)
    lists = first_lists(cluster, mark)
    assert lists[OLD][0] < lists[NEW][0]
    assert cluster.status(HERE, NEW) is NodeStatus.ACTIVE


def test_a_node_that_is_heard_of_never_gets_a_list_without_the_others() -> None:
    cluster, old, new = bench()
    old.tell(HERE, LINE % OLD.encode() + LINE % NEW.encode())
    old.settle(1)
    assert cluster.status(HERE, NEW) is NodeStatus.ACTIVE
    told = [request.body for request in new.requests if request.body]
    assert told and all(OLD.encode() in body for body in told)


def test_a_node_of_our_kind_is_answered_at_once() -> None:
    cluster, _, new = bench()
    new.extra = (("Supported", "dmqcache-2"),)
    new.request(HERE, body=LINE % NEW.encode(), hops=2)
    # A knock and its answer: then it is no stranger.
    cluster.clock.run(0.0025)
    assert [answer.status for answer in new.responses] == [200]
    second: SipRequest = new.requests[1]
    assert SipURI.parse(second.uri).user == "notification_peer"
