"""What only Kamailio nodes know, beside what a dmqcache node knows: which of the two was written later."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from dmqcache.bus.sip.uri import NodeURI
from dmqcache.store.kamailio.hearsay import Hearsay
from dmqcache.store.table.cell import PROVISIONAL
from dmqcache.store.table.clock import version_at
from dmqcache.store.table.row import Row
from dmqcache.store.table.table import Table
from tests.store.fixtures import Hands, make_table

NODE = NodeURI.parse("sip:127.0.0.12:5060")
SHOWN = Row("k", "shown", 1, 0, 0, PROVISIONAL)


def holding(value: str | None) -> tuple[Table, Hands]:
    """A table in which the key was set, and (None) deleted, long ago."""
    table, hands = make_table()
    table["k"] = value or "old"
    if value is None:
        del table["k"]
    hands.seconds += 100
    return table, hands


def told(table: Table, row: Row, *lost_at: int | None) -> str | int | None:
    """What the table holds after a node told a row, with Kamailio nodes that were lost then."""
    boxes: Any = SimpleNamespace(of_kamailios=lambda: [SimpleNamespace(lost_at=at) for at in lost_at])
    Hearsay(boxes).take(table, row)
    return table.get("k")


@pytest.mark.parametrize("value", ["old", None])
def test_it_is_news_if_all_kamailio_nodes_had_ours_before_they_were_lost(value: str | None) -> None:
    table, hands = holding(value)
    assert told(table, SHOWN, hands.wall_ms() - 1_000, None) == "shown"
    assert table.cells["k"].writer == ""


@pytest.mark.parametrize("value", ["old", None])
def test_it_is_none_if_one_of_them_was_lost_before_ours_was_written_or_none_was_lost(
    value: str | None,
) -> None:
    table, hands = holding(value)
    assert told(table, SHOWN, hands.wall_ms() - 1_000, hands.wall_ms() - 200_000) == value
    assert told(table, SHOWN, None) == value
    assert told(table, SHOWN) == value


@pytest.mark.parametrize(
    "row", [Row("k", 5, 1, 0, 0, PROVISIONAL), Row("k", "shown", 1), Row("k", "shown", 7)]
)
def test_numbers_and_what_a_node_wrote_are_no_hearsay(row: Row) -> None:
    table, hands = holding("old")
    assert told(table, row, hands.wall_ms() - 1_000) == "old"


def test_what_is_overwritten_that_only_kamailio_nodes_know_is_shown_first() -> None:
    table, hands = make_table()
    table.set("mine", "x")
    table._enliven(table._new_cell("k"), "shown", 1, 0, float("inf"), PROVISIONAL)
    sent: list[Any] = []
    outbox = SimpleNamespace(add_transfer=sent.append)
    boxes: Any = SimpleNamespace(
        of_kamailios=lambda: [outbox], get=lambda node: outbox, pump=lambda box: None
    )
    rows = [
        Row("k", "told", version_at(hands.wall_ms())),
        Row("mine", "told", version_at(hands.wall_ms() + 1)),
        Row("other", "told", 5),
    ]
    Hearsay(boxes).show(table, rows, NODE)
    assert [cell.value for transfer in sent for cell in transfer.cells] == ["shown"]
    Hearsay(boxes).show(table, [Row("k", "shown", version_at(hands.wall_ms()))], NODE)
    assert len(sent) == 1
