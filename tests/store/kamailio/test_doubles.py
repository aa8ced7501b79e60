"""Keys that a Kamailio holds twice: which of two counts, and what is remembered."""

from __future__ import annotations

from dmqcache.bus.sip.uri import NodeURI
from dmqcache.store.kamailio.doubles import MAX_KEYS, Doubles, single
from dmqcache.store.kamailio.wire_types import CellBatch, NumberCell, TextCell

NODE, OTHER = NodeURI.parse("sip:127.0.0.1"), NodeURI.parse("sip:127.0.0.2")


def test_of_each_key_the_first_counts() -> None:
    cells = [
        TextCell("t", "a", "first", 0),
        TextCell("t", "b", "x", 0),
        NumberCell("t", "a", 1, 0),
        TextCell("u", "a", "of another table", 0),
        TextCell("t", "a", "third", 0),
    ]
    batch, twice = single(CellBatch(list(cells), ["bad"]))
    assert twice == [("t", "a")]
    assert batch == CellBatch([cells[0], cells[1], cells[3]], ["bad"])


def test_a_batch_without_any_is_left_as_it_is() -> None:
    batch = CellBatch([TextCell("t", "a", "x", 0), TextCell("t", "b", "x", 0)])
    assert single(batch) == (batch, [])
    assert single(batch)[0] is batch


def test_each_is_taken_once_and_only_for_its_node() -> None:
    doubles = Doubles()
    doubles.note(NODE, [("t", "a"), ("t", "b")])
    assert not doubles.take(OTHER, "t", "a") and not doubles.take(NODE, "u", "a")
    assert doubles.take(NODE, "t", "a") and not doubles.take(NODE, "t", "a")
    doubles.forget(NODE)
    assert not doubles.take(NODE, "t", "b")


def test_what_is_remembered_is_bounded() -> None:
    doubles = Doubles()
    keys = [("t", str(number)) for number in range(MAX_KEYS + 5)]
    doubles.note(NODE, keys[:10])
    doubles.note(NODE, keys[10:])
    assert sum(doubles.take(NODE, *key) for key in keys) == MAX_KEYS
