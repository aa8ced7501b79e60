"""What mirrors have in common, by one that keeps words: who is answered what, and when."""

from __future__ import annotations

import asyncio
import json

import pytest

from dmqcache.bus.node import Node
from dmqcache.bus.peer import Peer
from dmqcache.peers import mirror, records, remembered
from dmqcache.peers.json_fields import integer_of, read_fields, text_of
from dmqcache.peers.mirror import Mirror, among
from tests.bus.virtual import kamailio
from tests.peers.stage import HERE, THERE, Stage


class Words(Mirror[str, str]):
    """``{"word": ..., "until": Unix time}`` keeps a word; ``{"all": 1}`` asks for all."""

    __slots__ = ("gone",)

    sync_body = b'{"all":1}'

    def __init__(self) -> None:
        super().__init__("words")
        self.gone: list[str] = []

    def hear(self, body: bytes, now: float) -> bool:
        fields = read_fields(body)
        if "all" in fields:
            return True
        word = text_of(fields, "word")
        self.records.put(word, word, now, integer_of(fields, "until", 0, 1 << 40))
        return False

    def body_of(self, key: str, node: Node, now: float) -> bytes | None:
        return None if key == "secret" else json.dumps({"word": key, "until": 1 << 40}).encode()

    def word_of(self, record: str, stale: bool) -> str:
        return record

    def over(self, key: str, record: str, now: float) -> None:
        self.gone.append(key)


@pytest.fixture
def words() -> Words:
    return Words()


@pytest.fixture
def stage(words: Words) -> Stage:
    return Stage(words)


def test_without_a_bus_there_is_no_time_and_nobody_to_tell(stage: Stage, words: Words) -> None:
    alone = Words()
    assert alone.now == 0.0
    alone.on_node_up(stage.bus.active_nodes()[0])
    assert int(words.now) == stage.wall


def test_each_node_that_comes_up_is_asked_once(stage: Stage) -> None:
    assert stage.heard() == [{"all": 1}]
    other = kamailio(stage.cluster, "127.0.0.13")
    other.request(HERE, body=b"sip:127.0.0.13:5060;status=active\r\n")
    stage.run(5)
    assert [request.body for request in other.requests if "words@" in request.uri] == [b'{"all":1}']
    assert stage.heard() == []


def test_what_is_over_leaves_in_silence(stage: Stage, words: Words) -> None:
    stage.heard()
    stage.say({"word": "a", "until": stage.wall + 10})
    stage.run(20)
    assert (words.gone, words.counts.left, stage.heard()) == (["a"], 1, [])


def test_no_timer_runs_for_a_mirror_that_keeps_nothing(words: Words) -> None:
    stage = Stage(words)
    stage.run(5)
    before = stage.cluster.clock.pending
    stage.say({"word": "a", "until": stage.wall + 3})
    assert stage.cluster.clock.pending > before
    stage.run(remembered.REMEMBERED_S + 10)
    assert words.records.idle


def test_large_messages_are_few_under_way(stage: Stage, words: Words) -> None:
    for number in range(20):
        words.records.put(f"{number}{'x' * 30_000}", "", stage.wall, 1 << 40)
    answer = stage.kamailio.answer
    stage.kamailio.answer = lambda request: None if "words@" in request.uri else answer(request)
    stage.kamailio.requests.clear()
    stage.kamailio.request(HERE, "words", b'{"all":1}')
    stage.run(0.3)
    assert len(stage.heard()) == 4
    stage.kamailio.answer = answer
    stage.run(10)
    assert words.counts.given == 20


def test_what_is_kept_back_or_too_large_is_not_given(stage: Stage, words: Words) -> None:
    for word in ("secret", "x" * mirror.MAX_GIVEN_BYTES, "a"):
        words.records.put(word, word, stage.wall, 1 << 40)
    stage.heard()
    stage.say({"all": 1})
    stage.run(2)
    assert [said["word"] for said in stage.heard()] == ["a"]
    assert dict(words.counts.refused) == {"too_large_to_give": 1}


def test_a_full_mirror_says_so(stage: Stage, words: Words, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_RECORDS", 1)
    assert [stage.say({"word": word, "until": 1 << 40}) for word in "ab"] == [200, 500]
    assert dict(words.counts.refused) == {"full": 1}


def test_who_asks_again_gets_everything_anew(stage: Stage, words: Words) -> None:
    for number in range(100):
        words.records.put(f"w{number}", "", stage.wall, 1 << 40)
    stage.heard()
    stage.kamailio.request(HERE, "words", b'{"all":1}')
    stage.run(0.0012)
    stage.kamailio.request(HERE, "words", b'{"all":1}')
    stage.run(10)
    told = [said["word"] for said in stage.heard()]
    assert set(told) == {f"w{number}" for number in range(100)}
    assert 100 <= len(told) <= 100 + mirror.IN_FLIGHT * 2


def test_a_node_that_goes_down_is_told_no_more(stage: Stage, words: Words) -> None:
    for number in range(100):
        words.records.put(f"w{number}", "", stage.wall, 1 << 40)
    stage.kamailio.answer = lambda request: None
    stage.heard()
    stage.kamailio.request(HERE, "words", b'{"all":1}')
    stage.run(120)
    assert {said["word"] for said in stage.heard()} <= {f"w{number}" for number in range(mirror.IN_FLIGHT)}
    assert words.counts.given == 0


def test_who_asks_before_it_is_known_is_answered_once_it_is(words: Words) -> None:
    stage = Stage(words)
    words.records.put("a", "a", stage.wall, 1 << 40)
    node = stage.bus.active_nodes()[0]
    stage.heard()
    words.on_node_down(node)
    words._asking.add(node.uri)
    words.on_node_up(node)
    stage.run(1)
    assert stage.heard() == [{"all": 1}, {"word": "a", "until": 1 << 40}]
    words.on_node_left(node)
    assert words._asking == set()
    assert node.uri.host == THERE


def test_a_mirror_is_found_among_a_nodes_peers(words: Words) -> None:
    assert among({"words": words}, Words) is words
    assert among({"words": Peer("words")}, Words) is None
    assert among({}, Words) is None


def test_changes_are_told_with_the_reason_and_one_who_fails_disturbs_nobody(
    stage: Stage, words: Words
) -> None:
    heard: list[tuple[str, str | None, str | None]] = []

    def fail(_: object) -> None:
        raise RuntimeError("failed")

    words.tell_changes(fail)
    forget = words.tell_changes(lambda change: heard.append((change.kind, change.before, change.after)))
    assert stage.say({"word": "a", "until": stage.wall + 60}) == 200
    words.records.remove("a", "a", words.now)
    stage.run(700)  # so long it is remembered that it was removed
    stage.say({"word": "a", "until": stage.wall + 60})
    stage.run(70)
    assert heard == [("new", None, "a"), ("removed", "a", None), ("new", None, "a"), ("expired", "a", None)]
    forget()
    forget()
    stage.say({"word": "b", "until": stage.wall + 60})
    assert len(heard) == 4


def test_changes_may_be_iterated_over_until_the_node_stops(stage: Stage, words: Words) -> None:
    async def scenario() -> None:
        given_up, changes = words.changes(), words.changes()
        given_up.close()
        stage.say({"word": "a", "until": stage.wall + 60})
        stage.bus.close()
        assert [change.after async for change in changes] == ["a"]
        assert words._iterated == []

    asyncio.run(scenario())
