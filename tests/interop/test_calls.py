"""Calls and publications of real Kamailio nodes: shown at each step, and given to one that was restarted."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

from tests.interop.daemon import wait_until
from tests.interop.dmqcache_node import DmqcacheNode
from tests.interop.kamailio import Kamailio
from tests.interop.kamailio_calls import (
    CALLS_ROUTE,
    PRESENCE_ROUTE,
    calls_cfg,
    empty_tables,
    presence_cfg,
)
from tests.interop.phones import Phones, Watcher
from tests.interop.releases import RELEASES
from tests.interop.sipp_phones import Calls

pytestmark = pytest.mark.interop

CALLS = 200
#: Calls through each Kamailio of a cluster.
EACH = 20
PUBLICATIONS = 20
JOIN_TIMEOUT_S = 30.0
TOLD_TIMEOUT_S = 20.0
#: After its end a dialog stays in a Kamailio for some seconds.
REMOVED_TIMEOUT_S = 30.0


def told(node: DmqcacheNode, what: str, *words: str) -> str:
    """What ``dmqcache calls`` prints, run as an operator runs it."""
    command = [sys.executable, "-m", "dmqcache", what, *words, "--node", f"{node.host}:{node.client_port}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


def rows(node: DmqcacheNode, what: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in told(node, what, "--json").splitlines()]


def states(node: DmqcacheNode) -> Counter[str]:
    return Counter(row["state"] for row in rows(node, "calls"))


def wait_states(node: DmqcacheNode, **expected: int) -> None:
    wait_until(
        lambda: states(node) == expected,
        TOLD_TIMEOUT_S,
        lambda: f"calls {expected}, not {states(node)}\n{node.diagnosis()}",
    )


def dialogs(kamailio: Kamailio) -> dict[str, tuple[object, ...]]:
    """What a Kamailio knows of each call that has not ended."""
    return {
        row["call-id"]: (
            row["state"],
            row["from_uri"],
            row["to_uri"],
            row["caller"]["tag"],
            row["callee"]["tag"],
            row["callee"]["contact"],
            row["start_ts"],
            row["lifetime"],
            str(sorted(map(str, row["profiles"]))),
            str(row["variables"]),
        )
        for row in kamailio.rpc("dlg.list")
        if row["state"] != 5
    }


@pytest.fixture
def pair(line: str, tmp_path: Path) -> Iterator[tuple[DmqcacheNode, Kamailio]]:
    """A dmqcache node and a Kamailio that knows nobody else."""
    release = RELEASES[line]
    node = DmqcacheNode("127.0.86.11", extra=("--peer", "dialog", "--peer", "presence"))
    database = Path(copytree(empty_tables(release), tmp_path / "tables"))
    host = "127.0.86.12"
    kamailio = Kamailio(
        host,
        release=release,
        seeds=[node.uri],
        extra_cfg=calls_cfg() + presence_cfg(f"sip:{host}:5060", database, subscriptions=line == "6.1"),
        requests=CALLS_ROUTE + PRESENCE_ROUTE,
    )
    with node, kamailio:
        kamailio.wait_nodes([node.uri, kamailio.uri], JOIN_TIMEOUT_S)
        yield node, kamailio


@pytest.mark.parametrize("line", tuple(RELEASES))
def test_two_hundred_calls_are_right_at_each_step_and_a_restarted_kamailio_gets_them_back(
    pair: tuple[DmqcacheNode, Kamailio],
) -> None:
    node, kamailio = pair
    with Phones("127.0.86.20", (kamailio.host, kamailio.port)) as phones:
        calls = [phones.ring(number, f"alice{number % 7}", f"bob{number}") for number in range(CALLS)]
        wait_states(node, ringing=CALLS)
        for call in calls[:-50]:
            phones.answer(call)
        wait_states(node, ringing=50, talking=CALLS - 50)
        for call in calls[-50:-40]:
            phones.refuse(call)
        wait_states(node, ringing=40, talking=CALLS - 50)
        for call in calls[-40:]:
            phones.answer(call)
        wait_states(node, talking=CALLS - 10)
        for call in calls[:40]:
            phones.hang_up(call)
        wait_states(node, talking=CALLS - 50)
        _shown(node)
        talking = calls[40:-50] + calls[-40:]

        before = dialogs(kamailio)
        assert len(before) == len(talking)
        kamailio.restart()
        wait_until(
            lambda: dialogs(kamailio) == before,
            TOLD_TIMEOUT_S,
            lambda: f"{_differing(before, dialogs(kamailio))}\n{kamailio.diagnosis()}",
        )
        assert states(node) == {"talking": CALLS - 50}

        for call in talking:
            phones.hang_up(call)
        wait_states(node)
        wait_until(lambda: not kamailio.rpc("dlg.list"), REMOVED_TIMEOUT_S)
    assert "ERROR" not in kamailio.diagnosis()


@pytest.mark.parametrize("line", tuple(RELEASES))
def test_calls_that_sipp_sets_up_answers_and_ends_are_right_at_each_step(
    pair: tuple[DmqcacheNode, Kamailio],
) -> None:
    node, kamailio = pair
    with Calls("127.0.86.20", (kamailio.host, kamailio.port), CALLS) as calls:
        wait_states(node, ringing=CALLS)
        calls.answer()
        wait_states(node, talking=CALLS)
        calls.hang_up()
        wait_states(node)
        calls.wait()


def _differing(before: dict[str, tuple[object, ...]], now: dict[str, tuple[object, ...]]) -> str:
    """How many calls differ, and one of them."""
    differ = [name for name in before.keys() | now.keys() if before.get(name) != now.get(name)]
    return f"{len(differ)} of {len(before)} calls differ: {[(before.get(n), now.get(n)) for n in differ[:1]]}"


def _shown(node: DmqcacheNode) -> None:
    """One call, with its parties and profiles."""
    (line,) = told(node, "calls", "bob77@").splitlines()
    call_id, state, caller, callee, age, profiles = line.split("\t")
    assert (call_id, state) == ("call77@127.0.86.20", "talking")
    assert (caller, callee) == ("sip:alice0@example.com", "sip:bob77@example.com")
    assert int(age) < 600
    assert sorted(profiles.split(", ")) == ["caller=sip:alice0@example.com", "outbound"]


@pytest.mark.parametrize("line", tuple(RELEASES))
def test_a_restarted_kamailio_gets_publications_back(pair: tuple[DmqcacheNode, Kamailio]) -> None:
    node, kamailio = pair
    for number in range(PUBLICATIONS):
        kamailio.publish(f"user{number}", f"document {number}")
    wait_until(lambda: len(rows(node, "presentities")) == PUBLICATIONS, TOLD_TIMEOUT_S)
    before = published(kamailio)
    assert len(before) == PUBLICATIONS
    kamailio.restart()
    wait_until(
        lambda: published(kamailio).keys() == before.keys(),
        TOLD_TIMEOUT_S,
        lambda: f"{len(before)}, not {len(published(kamailio))}\n{kamailio.diagnosis()}",
    )
    for etag, (document, expires) in published(kamailio).items():
        assert document == before[etag][0]
        assert abs(expires - before[etag][1]) <= 2
    assert "ERROR" not in kamailio.diagnosis()


@pytest.mark.parametrize("line", ["6.1"])
def test_a_restarted_kamailio_knows_again_who_watches(
    pair: tuple[DmqcacheNode, Kamailio],
) -> None:
    node, kamailio = pair
    with Watcher("127.0.86.21", (kamailio.host, kamailio.port)) as watcher:
        watcher.subscribe("alice")
        kamailio.publish("alice", "before")
        wait_until(lambda: watcher.notified("before"), TOLD_TIMEOUT_S)
        wait_until(lambda: _published_and_watched(node) == (1, 1), TOLD_TIMEOUT_S)
        heard = watcher.notified("before")
        kamailio.restart()
        # It has both back: who watches is told anew, and has not asked for it.
        wait_until(
            lambda: watcher.notified("before") > heard,
            TOLD_TIMEOUT_S,
            lambda: f"{kamailio.diagnosis()}\n{node.diagnosis()}",
        )


def _published_and_watched(node: DmqcacheNode) -> tuple[float, float]:
    return node.metric("dmqcache_presentities"), node.metric("dmqcache_presence_subscriptions")


@pytest.mark.parametrize("line", ["mixed"])
def test_kamailio_nodes_of_all_releases_that_were_killed_at_once_get_all_calls_back(line: str) -> None:
    node = DmqcacheNode("127.0.86.31", extra=("--peer", "dialog"))
    with ExitStack() as stack:
        stack.enter_context(node)
        proxies = []
        for number, release in enumerate(RELEASES.values(), 32):
            proxy = Kamailio(
                f"127.0.86.{number}",
                release=release,
                seeds=[node.uri],
                extra_cfg=calls_cfg(),
                requests=CALLS_ROUTE,
            )
            proxies.append(stack.enter_context(proxy))
        for proxy in proxies:
            proxy.wait_nodes([node.uri, *(one.uri for one in proxies)], JOIN_TIMEOUT_S)
        for number, proxy in enumerate(proxies):
            with Phones("127.0.86.40", (proxy.host, proxy.port)) as phones:
                for call in range(EACH):
                    phones.answer(phones.ring(100 * number + call, f"alice{number}", "bob"))
        count = EACH * len(proxies)
        wait_states(node, talking=count)
        expected = dialogs(proxies[0]).keys()
        assert len(expected) == count

        for proxy in proxies:
            proxy.kill()
        for proxy in proxies:
            proxy.start()
        for proxy in proxies:
            wait_until(
                lambda proxy=proxy: dialogs(proxy).keys() == expected,  # type: ignore[misc]
                TOLD_TIMEOUT_S,
                lambda proxy=proxy: f"{count} calls\n{proxy.diagnosis()}",  # type: ignore[misc]
            )
        assert states(node) == {"talking": count}


def published(kamailio: Kamailio) -> dict[str, tuple[str, int]]:
    """Entity tag -> document and when it expires."""
    found = kamailio.rpc("presence.presentity_list", "full")
    return {row["etag"]: (row["body"], row["expires"]) for row in found}
