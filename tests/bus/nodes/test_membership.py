"""The rules: what evidence makes of a node, when it is forgotten, how much room there is."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from dmqcache.bus.bus_counters import BusCounters
from dmqcache.bus.node import OWN_TAG, Node, NodeList, NodeStatus
from dmqcache.bus.nodes.events import Events
from dmqcache.bus.nodes.membership import (
    COME_BACK_GAP,
    DEPARTED_SECONDS,
    MAX_DEPARTED,
    MAX_LOST,
    MAX_NODES,
    MAX_ON_HOST,
    MAX_OWN_LEARNT,
    MAX_UNCONFIRMED,
    MAX_UNCONFIRMED_ON_HOST,
    RESTART_GAP,
    TABLE,
    Evidence,
    Membership,
)
from dmqcache.bus.sip.uri import NodeURI
from tests.bus.nodes.test_events import Listener
from tests.bus.virtual import Clock, VirtualRuntime

OWN = NodeURI.parse("127.0.0.11")
OTHER = NodeURI.parse("127.0.0.12")


class Changes:
    """Hears of changes before the peers do."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def node_up(self, node: Node) -> None:
        self.seen.append(f"up {node.uri.host}")

    def node_lost(self, node: Node) -> None:
        self.seen.append(f"lost {node.uri.host}")


@dataclass
class Bench:
    clock: Clock = field(default_factory=Clock)
    counters: BusCounters = field(default_factory=BusCounters)
    listener: Listener = field(default_factory=Listener)
    changes: Changes = field(default_factory=Changes)
    remove_inactive: float = 300.0

    def __post_init__(self) -> None:
        runtime = VirtualRuntime(self.clock)
        events = Events(runtime, self.counters)
        events.add_peer(self.listener, list)
        local = Node(uri=OWN, status=NodeStatus.ACTIVE, endpoint=OWN.endpoint, local=True, confirmed=True)
        self.rules = Membership(
            runtime, NodeList(local), events, self.counters, 60.0, self.changes, self.remove_inactive
        )

    def node(self, uri: NodeURI = OTHER, *, seed: bool = False, status: NodeStatus | None = None) -> Node:
        node = self.rules.meet(uri, seed=seed)
        assert node is not None
        if status is not None:
            self.rules.judge(node, Evidence.ANSWERED)
            if status is NodeStatus.TIMEOUT:
                self.rules.judge(node, Evidence.LOST)
            elif status is NodeStatus.DISABLED:
                self.rules.judge(node, Evidence.GOODBYE)
        return node

    def heard(self) -> list[str]:
        self.clock.run(0)
        heard = [what.partition(" ")[0] for what in self.listener.heard if what != "init"]
        self.listener.heard.clear()
        return heard


def test_the_table_has_an_answer_for_all_evidence_in_every_status() -> None:
    assert set(TABLE) == {(status, evidence) for status in NodeStatus for evidence in Evidence}


def test_only_an_answer_makes_a_node_active() -> None:
    assert {evidence for (_, evidence), after in TABLE.items() if after is NodeStatus.ACTIVE} == {
        Evidence.ANSWERED
    }


def test_a_new_node_is_pending_and_nobody_hears_of_it() -> None:
    bench = Bench()
    node = bench.node()
    assert node.status is NodeStatus.PENDING and not node.confirmed
    assert bench.heard() == []


def test_a_node_comes_goes_and_comes_back() -> None:
    bench = Bench()
    node = bench.node()
    bench.rules.judge(node, Evidence.ANSWERED)
    bench.rules.judge(node, Evidence.ANSWERED)
    assert node.active and bench.heard() == ["up"]
    bench.rules.judge(node, Evidence.LOST)
    bench.rules.judge(node, Evidence.LOST)
    assert node.status is NodeStatus.TIMEOUT and bench.heard() == ["down"]
    bench.rules.judge(node, Evidence.ANSWERED)
    assert node.active and bench.heard() == ["up"]
    bench.rules.judge(node, Evidence.GOODBYE)
    assert str(node.status) == "disabled" and bench.heard() == ["left"]
    bench.rules.judge(node, Evidence.ANSWERED)
    assert node.active and bench.heard() == ["up"]
    # Before the peers, whoever must hear first.
    host = OTHER.host
    assert bench.changes.seen == [f"{what} {host}" for what in ("up", "lost", "up", "lost", "up")]


def test_a_node_that_is_down_and_says_goodbye_has_left() -> None:
    bench = Bench()
    node = bench.node(status=NodeStatus.TIMEOUT)
    bench.heard()
    bench.rules.judge(node, Evidence.GOODBYE)
    assert bench.heard() == ["left"]


def test_a_goodbye_that_may_be_forged_is_true_when_the_node_is_silent_and_not_when_it_answers() -> None:
    bench = Bench()
    node = bench.node()
    bench.rules.judge(node, Evidence.ANSWERED)
    assert bench.rules.says_goodbye(node) and not bench.rules.says_goodbye(node), "one question is enough"
    node.supported = frozenset({OWN_TAG})
    bench.rules.judge(node, Evidence.ANSWERED)
    assert node.active and not bench.rules.is_leaving(node) and bench.heard() == ["up"]
    assert bench.rules.says_goodbye(node) and bench.rules.is_leaving(node)
    bench.rules.judge(node, Evidence.LOST)
    assert node.status is NodeStatus.DISABLED and bench.heard() == ["left"]
    assert not bench.rules.is_leaving(node) and not bench.rules.says_goodbye(node)


def test_a_kamailio_that_says_goodbye_and_is_there_may_have_been_restarted() -> None:
    """Within five seconds after it was up, too; but no flood of goodbyes is one of restarts."""
    bench = Bench()
    node = bench.node()
    bench.rules.judge(node, Evidence.ANSWERED)
    for _ in range(20):
        assert bench.rules.says_goodbye(node)
        bench.rules.judge(node, Evidence.ANSWERED)
        bench.clock.run(1)
    assert bench.heard() == ["up", "up"]
    bench.clock.run(COME_BACK_GAP)
    assert bench.rules.says_goodbye(node)
    bench.rules.judge(node, Evidence.ANSWERED)
    assert bench.heard() == ["up"] and node.active


def test_who_does_not_answer_whether_it_leaves_is_asked_on_and_its_next_answer_tells() -> None:
    bench = Bench()
    node = bench.node()
    bench.rules.judge(node, Evidence.ANSWERED)
    node.supported = frozenset({OWN_TAG})
    for _ in range(3):
        assert bench.rules.says_goodbye(node)
        asked_before = bench.clock.time
        bench.clock.run(1)
        bench.rules.is_silent_on_its_goodbye(node)
        bench.rules.answers(node, asked_before)
        assert bench.rules.is_leaving(node) and not bench.rules.says_goodbye(node)
        bench.rules.answers(node, bench.clock.time)
        assert node.active and not bench.rules.is_leaving(node)
    assert bench.rules.says_goodbye(node)
    bench.rules.is_silent_on_its_goodbye(node)
    bench.rules.judge(node, Evidence.LOST)
    bench.rules.judge(node, Evidence.ANSWERED)
    assert bench.heard() == ["up", "left", "up"] and not bench.rules.is_leaving(node)
    bench.rules.answers(node, bench.clock.time)
    assert bench.heard() == []


def test_the_silence_of_a_node_that_was_lost_before_makes_no_goodbye_true() -> None:
    bench = Bench()
    node = bench.node(status=NodeStatus.TIMEOUT)
    assert bench.rules.says_goodbye(node), "its answer may say so"
    bench.rules.judge(node, Evidence.LOST)
    assert node.status is NodeStatus.TIMEOUT


def test_a_lost_notification_address_is_pending_again_and_kept_for_ever() -> None:
    bench = Bench()
    node = bench.node(seed=True, status=NodeStatus.ACTIVE)
    bench.rules.judge(node, Evidence.LOST)
    assert node.status is NodeStatus.PENDING
    for _ in range(100):
        bench.clock.run(60)
        bench.rules.missed(node)
    assert bench.rules.nodes.get(OTHER) is node


@pytest.mark.parametrize(
    ("status", "kept", "gone"),
    [(None, 5, 15), (NodeStatus.TIMEOUT, 290, 310), (NodeStatus.DISABLED, 50, 70)],
)
def test_a_silent_node_is_removed_when_its_time_is_over(
    status: NodeStatus | None, kept: float, gone: float
) -> None:
    bench = Bench()
    node = bench.node(status=status)
    bench.clock.run(kept)
    for _ in range(5):
        bench.rules.missed(node)
    assert bench.rules.nodes.get(OTHER) is node
    bench.clock.run(gone - kept)
    bench.rules.missed(node)
    assert bench.rules.nodes.get(OTHER) is None
    assert bench.rules.departed(OTHER)


def test_time_alone_removes_nobody() -> None:
    bench = Bench()
    node = bench.node(status=NodeStatus.TIMEOUT)
    bench.clock.run(10_000)
    bench.rules.missed(node)
    assert bench.rules.nodes.get(OTHER) is node


@pytest.mark.parametrize(("seconds", "stays"), [(30.0, 30.0), (3000.0, 3000.0), (0.0, 1e9)])
def test_how_long_an_inactive_node_is_kept_is_an_option(seconds: float, stays: float) -> None:
    bench = Bench(remove_inactive=seconds)
    node = bench.node(status=NodeStatus.TIMEOUT)
    for share in (0.1, 0.8):
        bench.clock.run(stays * share)
        bench.rules.missed(node)
        bench.rules.missed(node)
        assert OTHER in bench.rules.nodes
    bench.clock.run(stays * 0.2)
    bench.rules.missed(node)
    assert (OTHER in bench.rules.nodes) is (seconds == 0) and (OTHER in bench.rules.lost) is (seconds > 0)


def test_an_active_node_is_not_removed_by_a_missed_ping() -> None:
    bench = Bench()
    node = bench.node(status=NodeStatus.ACTIVE)
    bench.clock.run(10_000)
    for _ in range(10):
        bench.rules.missed(node)
    assert node.active and bench.rules.nodes.get(OTHER) is node


def test_removal_is_told_once_and_only_of_nodes_that_were_there() -> None:
    bench = Bench()
    stranger = bench.node()
    bench.rules.remove(stranger)
    assert bench.heard() == []
    dead = bench.node(status=NodeStatus.TIMEOUT)
    bench.rules.remove(dead)
    assert bench.heard() == ["up", "down", "left"]
    gone = bench.node(status=NodeStatus.DISABLED)
    bench.rules.remove(gone)
    assert bench.heard() == ["up", "left"]


def test_evidence_about_a_removed_node_changes_nothing() -> None:
    bench = Bench()
    node = bench.node()
    bench.rules.remove(node)
    bench.rules.judge(node, Evidence.ANSWERED)
    bench.rules.missed(node)
    assert not node.active and bench.heard() == []


def test_a_removed_node_is_remembered_for_a_while_and_within_bounds() -> None:
    bench = Bench()
    bench.rules.remove(bench.node())
    bench.clock.run(DEPARTED_SECONDS - 1)
    assert bench.rules.departed(OTHER)
    bench.clock.run(2)
    assert not bench.rules.departed(OTHER)
    for number in range(MAX_DEPARTED + 50):
        bench.rules.remove(bench.node(NodeURI("127.0.1.1", 1000 + number)))
    assert len(bench.rules._departed) == MAX_DEPARTED


def test_who_is_met_again_has_not_departed() -> None:
    bench = Bench()
    bench.rules.remove(bench.node())
    bench.node()
    assert not bench.rules.departed(OTHER)


def test_our_own_address_is_never_met_in_any_form() -> None:
    bench = Bench()
    assert bench.rules.meet(OWN) is None and bench.rules.meet(OWN, seed=True) is None
    node = bench.node()
    bench.rules.add_own(node.uri)
    assert bench.rules.nodes.get(node.uri) is None and bench.rules.meet(node.uri) is None
    assert bench.rules.is_own(node.uri) and len(bench.rules.nodes) == 1


def test_an_active_node_that_turns_out_to_be_ourselves_has_left() -> None:
    """What the peers keep for it must go."""
    bench = Bench()
    node = bench.node(status=NodeStatus.ACTIVE)
    assert bench.heard() == ["up"]
    bench.rules.add_own(node.uri)
    assert bench.heard() == ["left"]


def test_forms_of_our_own_address_that_were_learnt_are_bounded_and_the_configured_ones_stay() -> None:
    bench = Bench()
    bench.rules.configure_own(OTHER)
    bench.rules.add_own(OTHER)
    for number in range(1000):
        bench.rules.add_own(NodeURI(f"own{number}.example"))
    assert len(bench.rules._own_learnt) == MAX_OWN_LEARNT
    assert all(bench.rules.is_own(uri) for uri in (OWN, OTHER, NodeURI("own999.example")))


def test_a_name_is_not_met_before_it_is_resolved() -> None:
    assert Bench().rules.meet(NodeURI.parse("kam.example")) is None


def test_strangers_have_limited_room_and_seeds_none_of_these_limits() -> None:
    bench = Bench()
    uris = [NodeURI("127.0.1.1", 1000 + number) for number in range(MAX_UNCONFIRMED + 10)]
    met = [bench.rules.meet(uri) for uri in uris]
    assert sum(node is not None for node in met) == MAX_UNCONFIRMED
    assert bench.counters.drops == {"too_many_strangers": 10}
    assert bench.rules.meet(OTHER, seed=True) is not None


def test_who_calls_takes_the_place_of_the_oldest_that_never_answered() -> None:
    bench = Bench()
    seed, answers = bench.node(seed=True), bench.node(NodeURI("127.0.0.13"), status=NodeStatus.ACTIVE)
    for number in range(MAX_UNCONFIRMED):
        bench.rules.meet(NodeURI(f"127.0.1.{number}"))
    caller = bench.rules.meet(NodeURI("127.0.2.1"), calls=True)
    nodes = bench.rules.nodes
    assert caller in list(nodes) and seed in list(nodes) and answers in list(nodes)
    assert NodeURI("127.0.1.0") not in nodes and NodeURI("127.0.1.1") in nodes
    assert len(nodes) == MAX_UNCONFIRMED + 3 and bench.counters.drops == {"too_many_strangers": 1}


def test_one_host_that_calls_under_many_ports_takes_no_place_of_others() -> None:
    bench = Bench()
    other = bench.rules.meet(OTHER, calls=True)
    for port in range(1000, 2000):
        assert bench.rules.meet(NodeURI("127.0.1.1", port), calls=True) is not None
    assert other in list(bench.rules.nodes)
    assert len(bench.rules.nodes) == 2 + MAX_UNCONFIRMED_ON_HOST


@pytest.mark.parametrize("calls", [False, True])
def test_one_host_that_answers_under_many_ports_is_so_many_nodes_and_no_more(calls: bool) -> None:
    """Each write would cost a message to each of them."""
    bench = Bench()
    for port in range(1000, 1000 + MAX_ON_HOST + 10):
        node = bench.rules.meet(NodeURI("127.0.1.1", port), calls=calls)
        assert (node is None) == (port >= 1000 + MAX_ON_HOST)
        if node is not None:
            bench.rules.judge(node, Evidence.ANSWERED)
    assert bench.counters.drops == {"too_many_on_host": 10}
    # Nobody else is kept out, nor who is named in the configuration.
    assert bench.rules.meet(OTHER, calls=calls) is not None
    assert bench.rules.meet(NodeURI("127.0.1.1", 5060), seed=True) is not None


def test_the_list_has_limited_room() -> None:
    bench = Bench()
    for number in range(MAX_NODES + 10):
        node = bench.rules.meet(NodeURI(f"127.0.{number // 250}.{number % 250}", 5070))
        if node is not None:
            bench.rules.judge(node, Evidence.ANSWERED)
    assert len(bench.rules.nodes) == MAX_NODES
    assert bench.counters.drops["node_list_full"] == 11


def test_a_restart_of_an_active_node_is_a_second_coming() -> None:
    bench = Bench()
    node = bench.node(status=NodeStatus.ACTIVE)
    assert bench.heard() == ["up"]
    bench.rules.restarted(node)
    assert bench.heard() == ["up"]
    bench.rules.judge(node, Evidence.LOST)
    bench.heard()
    bench.rules.restarted(node)
    assert bench.heard() == []


def test_start_up_notifications_in_a_flood_are_no_restarts() -> None:
    bench = Bench()
    node = bench.node(status=NodeStatus.ACTIVE)
    bench.heard()
    for _ in range(100):
        bench.rules.started(node)
        bench.clock.run(0.01)
    assert bench.heard() == []
    bench.clock.run(RESTART_GAP)
    for _ in range(3):
        bench.rules.started(node)
    assert bench.heard() == ["up"]


def test_what_an_operator_disabled_stays_so_until_he_says_otherwise() -> None:
    bench = Bench()
    node = bench.node(status=NodeStatus.ACTIVE)
    bench.heard()
    bench.rules.set_status(node, NodeStatus.DISABLED)
    assert bench.heard() == ["left"]
    bench.rules.judge(node, Evidence.ANSWERED)
    bench.clock.run(1000)
    bench.rules.missed(node)
    bench.rules.missed(node)
    assert node.status is NodeStatus.DISABLED and bench.rules.nodes.get(OTHER) is node
    bench.rules.set_status(node, NodeStatus.PENDING)
    bench.rules.judge(node, Evidence.ANSWERED)
    assert node.active


def lose(bench: Bench, uri: NodeURI = OTHER) -> Node:
    """A node that answered, stopped, and is off the list."""
    node = bench.node(uri, status=NodeStatus.ACTIVE)
    bench.rules.judge(node, Evidence.LOST)
    bench.clock.run(301)
    bench.rules.missed(node)
    bench.rules.missed(node)
    assert uri not in bench.rules.nodes
    return node


def test_a_node_that_is_lost_is_remembered_when_it_is_off_the_list() -> None:
    bench = Bench()
    node = lose(bench)
    assert dict(bench.rules.lost) == {OTHER: node}
    # Its call alone changes nothing, as anybody may call in its name; its answer does.
    back = bench.node()
    assert OTHER in bench.rules.lost
    bench.rules.judge(back, Evidence.ANSWERED)
    assert OTHER not in bench.rules.lost


def test_a_goodbye_and_an_operator_take_a_lost_node_away() -> None:
    bench = Bench()
    lose(bench)
    bench.rules.judge(bench.node(), Evidence.GOODBYE)
    assert OTHER not in bench.rules.lost
    bench = Bench()
    lose(bench)
    assert bench.rules.forget_lost(OTHER)
    assert not bench.rules.forget_lost(OTHER)
    lose(bench)
    bench.rules.remove(bench.node())
    assert OTHER not in bench.rules.lost


def test_who_left_politely_or_never_answered_or_was_taken_away_is_not_lost() -> None:
    bench = Bench()
    polite = bench.node(status=NodeStatus.ACTIVE)
    bench.rules.judge(polite, Evidence.GOODBYE)
    bench.clock.run(301)
    bench.rules.missed(polite)
    bench.rules.missed(polite)
    assert OTHER not in bench.rules.nodes
    silent = bench.node()
    bench.clock.run(301)
    bench.rules.missed(silent)
    bench.rules.missed(silent)
    bench.rules.remove(bench.node(status=NodeStatus.ACTIVE))
    assert OTHER not in bench.rules.nodes
    assert not bench.rules.lost


def test_lost_nodes_are_remembered_within_bounds() -> None:
    bench = Bench()
    for number in range(MAX_LOST + 5):
        lose(bench, NodeURI("127.0.1.1", 1000 + number))
    assert len(bench.rules.lost) == MAX_LOST


def test_the_local_node_is_not_changed_or_removed_by_hand() -> None:
    bench = Bench()
    with pytest.raises(ValueError, match="own"):
        bench.rules.set_status(bench.rules.nodes.local, NodeStatus.DISABLED)
    with pytest.raises(ValueError, match="itself"):
        bench.rules.remove(bench.rules.nodes.local)
    bench.rules.judge(bench.rules.nodes.local, Evidence.LOST)
    assert bench.rules.nodes.local.active
