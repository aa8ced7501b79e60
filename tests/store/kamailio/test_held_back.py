"""What a Kamailio is not told: too long for it, a table that it lacks, what it never answers."""

from __future__ import annotations

import itertools
import logging

import pytest

from dmqcache.bus.peer import SILENCE, Reply
from dmqcache.bus.sip.uri import NodeURI
from dmqcache.store.kamailio.dialect import RECEIVED_BYTES
from dmqcache.store.kamailio.held_back import AGAIN_S, HEAD_BYTES, MAX_KEPT_KEYS
from dmqcache.store.kamailio.kamailio_courier import SINGLE_TIMEOUT_S, TOGETHER_TIMEOUT_S
from dmqcache.store.outbox.outbox import WINDOW
from tests.store.harness import OLD, Played, Sent, Side, all_cells, cells_body, set_body, with_kamailio

NEWER = "kamailio (5.8.0 (x86_64/linux))"
LIMIT = RECEIVED_BYTES - HEAD_BYTES


def names(kamailio: Played) -> list[str]:
    """The keys whose values it was told, in order."""
    return [
        cell["cname"]
        for body in kamailio.seen()
        for cell in body.get("cells", [body])
        if "strval" in cell or "intval" in cell
    ]


@pytest.mark.parametrize(
    ("agent", "length", "carried"),
    [
        (OLD, 55_000, True),
        (NEWER, 30_000, True),
        (NEWER, 32_000, False),
        ("kamailio (6.1.5 (x86_64/Linux))", 32_000, False),
        ("", 32_000, False),
    ],
)
def test_a_value_that_its_version_does_not_receive_is_kept_from_it(
    agent: str, length: int, carried: bool, caplog: pytest.LogCaptureFixture
) -> None:
    world, side, kamailio = with_kamailio(agent=agent)
    with caplog.at_level(logging.WARNING, "dmqcache.store"):
        for turn in range(3):
            side.table["long"] = f"{turn}" * length
            side.table["short"] = f"{turn}"
            world.run(1)
    assert ("long" in names(kamailio)) == carried
    assert [name for name in names(kamailio) if name == "short"] == ["short"] * 3
    assert side.outbox(kamailio).waiting() == 0
    assert side.store.counters.withheld["t", "too_large"] == (0 if carried else 3)
    assert side.store.held_back.reasons(kamailio.uri) == ({} if carried else {"too_large": 1})
    warnings = [line for line in caplog.messages if "too_large" in line]
    assert len(warnings) == (0 if carried else 1)
    assert all("msg_recv_max_size" in line and "127.0.0.90" in line for line in warnings)
    # What fits again is told, and no more shown as kept.
    side.table["long"] = "fits"
    world.run(1)
    assert names(kamailio)[-1] == "long"
    assert side.store.held_back.reasons(kamailio.uri) == {}


@pytest.mark.parametrize("agent", [NEWER, ""])
def test_no_message_is_longer_than_the_node_receives(agent: str) -> None:
    world, side, kamailio = with_kamailio(agent=agent)
    for number in range(56):
        side.table[f"k{number}"] = "x" * (number * 1000)
        side.table[f"small{number}"] = "x"
    world.run(5)
    assert max(len(sent.body) for sent in kamailio.got) + HEAD_BYTES <= RECEIVED_BYTES
    assert {f"small{number}" for number in range(56)} <= set(names(kamailio))
    assert {f"k{number}" for number in range(31)} <= set(names(kamailio))


def test_a_node_that_asks_for_all_gets_no_longer_message_either() -> None:
    world, side, kamailio = with_kamailio(agent=NEWER)
    for number in range(56):
        side.table[f"k{number}"] = "x" * (number * 1000)
    world.run(5)
    kamailio.got.clear()
    assert kamailio.say(side, {"action": 1}).status == 200
    world.run(5)
    assert max(len(sent.body) for sent in kamailio.got) + HEAD_BYTES <= RECEIVED_BYTES
    assert {f"k{number}" for number in range(31)} <= set(names(kamailio))


def test_an_operator_says_that_a_node_receives_more() -> None:
    node = NodeURI.parse("sip:127.0.0.90")
    world, side, kamailio = with_kamailio(agent=NEWER, kamailio_message_bytes={node: 60_000})
    side.table["long"] = "x" * 50_000
    world.run(1)
    assert names(kamailio) == ["long"]


# -- what is never answered


def _prove(world_side: tuple[object, Side, Played]) -> None:
    """The node has the table."""
    _, side, kamailio = world_side
    assert kamailio.say(side, set_body("proof", "x")).status == 200


def _deaf_for(*keys: bytes) -> object:
    def answer(sent: Sent) -> Reply:
        return Reply(SILENCE if any(b'"%b"' % key in sent.body for key in keys) else 200)

    return answer


@pytest.mark.parametrize("culprits", [1, 40])
def test_a_cell_that_is_never_answered_holds_up_no_other(
    culprits: int, caplog: pytest.LogCaptureFixture
) -> None:
    world, side, kamailio = with_kamailio()
    _prove((world, side, kamailio))
    bad = [f"bad{number}" for number in range(culprits)]
    kamailio.answer = _deaf_for(*(name.encode() for name in bad))  # type: ignore[assignment]
    told: dict[str, float] = {}
    for number in range(200):
        side.table[f"k{number}"] = "x"
        if number < culprits:
            side.table[bad[number]] = "x"
    begin = world.clock.time
    with caplog.at_level(logging.WARNING, "dmqcache.store"):
        world.run(TOGETHER_TIMEOUT_S + 2)
        for sent in kamailio.got:
            for body in sent.json.get("cells", [sent.json]):
                if not any(f'"{name}"'.encode() in sent.body for name in bad):
                    told.setdefault(body["cname"], sent.time - begin)
        assert set(told) == {f"k{number}" for number in range(200)}
        # A key that is written meanwhile goes at once.
        kamailio.got.clear()
        for number in range(100):
            side.table["new"] = str(number)
            world.run(0.5)
        news = [sent.time for sent in kamailio.got if b'"new"' in sent.body]
        assert max(later - earlier for earlier, later in itertools.pairwise(news)) < 1
    assert side.outbox(kamailio).waiting() == 0
    assert side.store.held_back.reasons(kamailio.uri) == {"unanswered": culprits}
    assert len([line for line in caplog.messages if "unanswered" in line]) == 1


def test_what_was_not_answered_is_tried_again_and_told_in_the_end() -> None:
    world, side, kamailio = with_kamailio()
    _prove((world, side, kamailio))
    kamailio.answer = _deaf_for(b"bad")  # type: ignore[assignment]
    side.table["bad"] = "x"
    side.table["good"] = "x"
    world.run(4 * SINGLE_TIMEOUT_S)
    assert side.store.held_back.reasons(kamailio.uri) == {"unanswered": 1}
    kamailio.answer = lambda sent: Reply(200)
    kamailio.got.clear()
    world.run(AGAIN_S[1])
    assert "bad" in names(kamailio)
    assert side.store.held_back.reasons(kamailio.uri) == {}


def test_a_new_value_of_a_key_that_was_set_aside_goes_at_once() -> None:
    world, side, kamailio = with_kamailio()
    _prove((world, side, kamailio))
    kamailio.answer = _deaf_for(b"bad")  # type: ignore[assignment]
    side.table["bad"] = "x"
    world.run(4 * SINGLE_TIMEOUT_S)
    kamailio.answer = lambda sent: Reply(200)
    kamailio.got.clear()
    side.table["bad"] = "y"
    world.run(1)
    assert names(kamailio) == ["bad"]


def test_what_is_remembered_of_kept_keys_is_bounded() -> None:
    world, side, kamailio = with_kamailio()
    _prove((world, side, kamailio))
    for number in range(MAX_KEPT_KEYS + 500):
        side.table[f"k{number}"] = 1 << 40
    world.run(200)
    assert side.store.held_back.reasons(kamailio.uri) == {"integer_over_32_bits": MAX_KEPT_KEYS}
    assert side.store.counters.withheld["t", "integer_over_32_bits"] == MAX_KEPT_KEYS + 500


# -- tables that the node lacks


def _lacks(table: str) -> object:
    """As a Kamailio: 500 for one change, 200 for cells, which it skips."""

    def answer(sent: Sent) -> Reply:
        body = sent.json
        return Reply(500 if body.get("htname") == table else 200)

    return answer


@pytest.mark.parametrize("keys", [1, 500])
def test_a_table_that_it_lacks_is_told_once_and_named(keys: int, caplog: pytest.LogCaptureFixture) -> None:
    world, side, kamailio = with_kamailio("users", "maint")
    kamailio.answer = _lacks("maint")  # type: ignore[assignment]
    users, maint = (side.store.tables[name] for name in ("users", "maint"))
    with caplog.at_level(logging.WARNING, "dmqcache.store"):
        for turn in range(5):
            for number in range(keys):
                users[f"k{number}"] = maint[f"k{number}"] = str(turn)
            world.run(5)
    # Some batches are on their way before the first answer.
    assert len([sent for sent in kamailio.got if b'"maint"' in sent.body]) <= WINDOW
    assert len([name for name in names(kamailio) if name == "k0"]) >= 5
    assert side.store.held_back.missing_tables(kamailio.uri) == ["maint"]
    assert len(caplog.messages) == 1 and "maint" in caplog.messages[0] and "127.0.0.90" in caplog.messages[0]
    assert side.store.counters.withheld["maint", "answered_500"] >= 4 * keys
    assert side.outbox(kamailio).waiting() == 0


def test_it_is_asked_again_now_and_then_and_gets_all_once_it_has_the_table() -> None:
    world, side, kamailio = with_kamailio()
    kamailio.answer = _lacks("t")  # type: ignore[assignment]
    for number in range(300):
        side.table[f"k{number}"] = "x"
        world.run(1)
    assert 3 <= len([sent for sent in kamailio.got if b'"t"' in sent.body]) <= 6
    kamailio.got.clear()

    def answer(sent: Sent) -> Reply:
        if sent.json.get("action") == 1:
            world.later(0.001, lambda: kamailio.say(side, cells_body()))
        return Reply(200)

    kamailio.answer = answer
    world.run(AGAIN_S[1])
    side.table["next"] = "x"
    world.run(60)
    assert {*names(kamailio), "next"} == set(side.table)
    assert side.store.held_back.missing_tables(kamailio.uri) == []


def test_one_that_asks_for_all_is_not_sent_a_table_that_it_lacks() -> None:
    world, side, kamailio = with_kamailio("users", "maint")
    for number in range(500):
        for table in side.store.tables.values():
            table[f"k{number}"] = "x"
    kamailio.answer = _lacks("maint")  # type: ignore[assignment]
    side.lose(kamailio)
    side.meet(kamailio)
    kamailio.got.clear()
    kamailio.say(side, {"action": 1})
    world.run(10)
    assert {cell["htname"] for cell in all_cells(kamailio)} == {"users"}
    assert {cell["cname"] for cell in all_cells(kamailio)} >= {f"k{number}" for number in range(500)}


def test_a_node_that_comes_back_may_have_the_table_now() -> None:
    world, side, kamailio = with_kamailio()
    kamailio.answer = _lacks("t")  # type: ignore[assignment]
    side.table["a"] = "x"
    world.run(1)
    assert side.store.held_back.missing_tables(kamailio.uri) == ["t"]
    side.lose(kamailio)
    kamailio.answer = lambda sent: Reply(200)
    side.meet(kamailio)
    side.table["b"] = "x"
    world.run(3)
    assert "b" in names(kamailio)
    assert side.store.held_back.missing_tables(kamailio.uri) == []
