"""Messages for one node: in order, in batches, bounded, and what is lost is counted."""

from __future__ import annotations

from collections import Counter

import pytest

from dmqcache.bus.peer import OnResponse, Response
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.channels import courier as module
from dmqcache.channels.courier import BATCH_MESSAGES, Courier, Published, decode, encode

NODE = NodeURI.parse("sip:127.0.0.12:5060")


class Line:
    """One node that answers when a test says so."""

    def __init__(self) -> None:
        self.bodies: list[list[Published]] = []
        self.answer: OnResponse | None = None
        self.cancelled = 0
        self.counts: Counter[str] = Counter()
        self.courier = Courier(self.send, self.counts)

    def send(self, body: bytes, answered: OnResponse) -> Line:
        assert self.answer is None, "one is under way"
        self.bodies.append(decode(body))
        self.answer = answered
        return self

    def cancel(self) -> None:
        self.cancelled += 1

    def give(self, status: int) -> None:
        assert self.answer is not None
        answer, self.answer = self.answer, None
        answer(Response(status, NODE))


def test_what_comes_while_one_is_under_way_goes_together_and_in_order() -> None:
    line = Line()
    messages = [(b"c", b"\xff%d" % number) for number in range(5)]
    line.courier.add(messages[0])
    line.courier.pump()
    for message in messages[1:]:
        line.courier.add(message)
        line.courier.pump()
    assert line.bodies == [messages[:1]]
    line.give(200)
    assert line.bodies == [messages[:1], messages[1:]]
    line.give(200)
    assert line.counts == {"out": 5}


def test_a_batch_is_bounded_in_bytes_and_messages_and_a_long_message_goes_alone() -> None:
    line = Line()
    for size in (10, 50_000, 10, 10):
        line.courier.add((b"c", b"x" * size))
    line.courier.pump()
    for _ in range(3):
        line.give(200)
    assert [len(body) for body in line.bodies] == [1, 1, 2]
    for _ in range(BATCH_MESSAGES + 1):
        line.courier.add((b"", b""))
    assert line.answer is None
    monstrous = [(b"", b"")] * (BATCH_MESSAGES + 1)
    with pytest.raises(ValueError, match="the most"):
        decode(encode(monstrous))
    with pytest.raises(ValueError):
        decode(b"\xc1 nonsense")


def test_what_is_not_answered_is_lost_and_the_next_goes_on() -> None:
    line = Line()
    line.courier.add((b"c", b"1"))
    line.courier.pump()
    line.courier.add((b"c", b"2"))
    line.give(408)
    line.give(200)
    assert line.counts == {"lost": 1, "out": 1}


def test_what_waits_is_bounded_and_gone_with_its_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING_BYTES", 1_000)
    line = Line()
    line.courier.add((b"c", b"x"))
    line.courier.pump()
    for _ in range(100):
        line.courier.add((b"c", b"x" * 50))
    assert line.counts["lost"] == 96
    line.courier.close()
    assert (line.cancelled, line.counts["lost"]) == (1, 101)
    line.courier.add((b"c", b"x"))
    line.courier.pump()
    assert len(line.bodies) == 1
