"""The commands that listen and speak, on a node; their ends, forms and exit codes."""

from __future__ import annotations

import itertools
import json
import os
import re
import threading
from collections.abc import Callable

from tests.cli.running import Ran, Run, one_line
from tests.server.fakes import FakeNode
from tests.server.resp.rival import Speaker

#: Seconds between two attempts of whoever speaks while a command listens.
AGAIN_S = 0.05


def meanwhile(do: Callable[[], object], command: Callable[[], Ran]) -> Ran:
    """Run a command that listens; ``do`` is done again and again until it has ended."""
    ended = threading.Event()

    def go() -> None:
        while not ended.wait(AGAIN_S):
            do()

    other = threading.Thread(target=go)
    other.start()
    try:
        return command()
    finally:
        ended.set()
        other.join()


def other_client() -> Speaker:
    """A connection to the node of the test."""
    host, _, port = os.environ["DMQCACHE_NODE"].rpartition(":")
    return Speaker((host, int(port)))


def test_watch_tells_changes_until_it_has_enough(on_node: Run) -> None:
    speaker = other_client()
    numbers = itertools.count(1)

    def change() -> None:
        """Each time to something else: what stays as it is, is not told."""
        number = next(numbers)
        speaker.say(["MULTI"])
        speaker.say(["SET", "other", "x"])
        speaker.say(["SET", "user:a", f"v\t{number}"])
        speaker.say(["SET", "user:n", str(number), "INT"])
        speaker.say(["SET", "user:gone", "x"])
        speaker.say(["DEL", "user:gone"])
        speaker.say(["EXEC"])

    told = meanwhile(change, lambda: on_node("watch", "cache", "user:", "--count", "3"))
    assert told.code == 0
    text, gone, number = sorted(told.out.splitlines())
    assert re.fullmatch(r"user:a\tv\\t\d+", text) and gone == "user:gone"
    assert re.fullmatch(r"user:n\t\d+", number)
    told = meanwhile(change, lambda: on_node("watch", "cache", "user:n", "--count", "1", "--json"))
    change_told = json.loads(told.out)
    assert change_told["key"] == "user:n" and change_told["value"] in range(1, next(numbers))
    speaker.close()
    assert one_line(on_node("watch", "nope")).startswith("dmqcache: no table 'nope'")


def test_subscribe_tells_messages_of_a_channel(on_node: Run, node: FakeNode) -> None:
    assert "no channel 'alerts': --channel alerts declares it" in one_line(on_node("subscribe", "alerts"))
    node.channels.declare("alerts")

    speaker = other_client()

    def text() -> None:
        speaker.say(["PUBLISH", "dmq:alerts", "a\tb"])

    def noise() -> None:
        speaker.say(["PUBLISH", "dmq:alerts", "\udcff"])

    listen = ("subscribe", "alerts", "--count", "1")
    own = "sip:127.0.0.11:5060"
    assert meanwhile(text, lambda: on_node(*listen)) == Ran(0, f"{own}\ttext/plain\ta\\tb\n", "")
    assert meanwhile(noise, lambda: on_node(*listen)).out == f"{own}\ttext/plain\t/w==\tbase64\n"
    told = meanwhile(text, lambda: on_node(*listen, "--json"))
    assert json.loads(told.out) == {"node": own, "content_type": "text/plain", "body": "a\tb"}
    speaker.close()


def test_send_and_broadcast_print_statuses(on_node: Run, node: FakeNode) -> None:
    node.channels.declare("alerts")
    there = "sip:127.0.0.12:5060"
    assert on_node("send", "alerts", there, "-5") == Ran(0, "200\n", "")
    assert json.loads(on_node("send", "alerts", there, "x", "--json").out) == {"node": there, "status": 200}
    assert on_node("broadcast", "alerts", "hello", "--type", "a/b") == Ran(0, f"{there}\t200\n", "")
    assert json.loads(on_node("broadcast", "alerts", "x", "--json").out) == [{"node": there, "status": 200}]
    assert node.bus.sent[0] == ("alerts", b"-5", there, "text/plain")
    assert node.bus.sent[2] == ("alerts", b"hello", there, "a/b")
    node.bus.status = 404
    assert on_node("send", "alerts", there, "x") == Ran(1, "404\n", "")
    assert on_node("broadcast", "alerts", "x") == Ran(1, f"{there}\t404\n", "")
    node.bus.alone = True
    told = "dmqcache: nobody was told: no other node is active\n"
    assert on_node("broadcast", "alerts", "x") == Ran(1, "", told)
    assert on_node("broadcast", "alerts", "x", "--json") == Ran(1, "[]\n", told)
    node.bus.alone = False
    assert "no channel 'other'" in one_line(on_node("send", "other", there, "x"))
    assert "no other node" in one_line(on_node("send", "alerts", "sip:192.0.2.1:5060", "x"))
