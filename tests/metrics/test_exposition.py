"""How metrics are written: bounded whatever comes, any bytes as labels, one registry for each node."""

from __future__ import annotations

from dmqcache.metrics.exposition import MAX_SERIES, Metrics, bounded, label_text
from dmqcache.metrics.reading import OTHER
from tests.metrics.scrape import WALL, text_of, values
from tests.server.served import Row, ServedNode, busy_node


def test_a_forged_label_stays_small_and_never_falls() -> None:
    node = ServedNode()
    for i in range(MAX_SERIES + 50):
        node.bus.counters.messages[f"channel{i}", "in", "request"] += 1
    found = values(node)
    assert found["dmqcache_messages_total", (OTHER, OTHER, OTHER)] == 50
    node.bus.counters.messages["channel249", "in", "request"] += 5
    found = values(node)
    assert found["dmqcache_messages_total", (OTHER, OTHER, OTHER)] == 55
    assert found["dmqcache_messages_total", ("channel0", "in", "request")] == 1


def test_bounded_leaves_a_short_list_alone() -> None:
    samples = [(("a",), 1.0), (("b",), 2.0)]
    assert list(bounded(samples, limit=2)) == samples
    assert list(bounded(samples, limit=1)) == [(("a",), 1.0), ((OTHER,), 2.0)]


def test_known_series_come_first_at_0_and_take_no_room_from_others() -> None:
    samples = [(("a",), 1.0), (("b",), 2.0), (("c",), 3.0)]
    assert list(bounded(samples, known=[("z",), ("b",)], limit=1)) == [
        (("z",), 0.0),
        (("b",), 2.0),
        (("a",), 1.0),
        ((OTHER,), 3.0),
    ]


def test_many_tables_keep_all_their_series() -> None:
    node = ServedNode(*(f"t{i}" for i in range(100)))
    node.counters.withheld["t99", "too_large"] += 4
    found = values(node)
    assert found["dmqcache_changes_withheld_total", ("t99", "too_large")] == 4
    assert ("dmqcache_changes_withheld_total", (OTHER, OTHER)) not in found


def test_labels_carry_any_bytes_as_escapes() -> None:
    node = ServedNode()
    node.bus.counters.drops["a\udcffb"] += 1
    node.bus.counters.drops['quote " line\n'] += 1
    found = values(node)
    assert found["dmqcache_drops_total", ("a\\udcffb", "fault")] == 1
    assert found["dmqcache_drops_total", ('quote " line\n', "fault")] == 1
    assert label_text("é") == "é"


def test_two_nodes_share_no_registry() -> None:
    one, other = ServedNode(), ServedNode("calls")
    assert 'table="users"' not in text_of(other)
    assert 'table="calls"' not in text_of(one)


def test_nothing_is_asked_of_a_node_that_has_not_started() -> None:
    class Unborn(ServedNode):
        def node_rows(self) -> list[Row]:
            raise AssertionError("asked before the first scrape")

    Metrics(Unborn(), "0.1.0", lambda: WALL)


def test_open_metrics_for_those_who_ask() -> None:
    metrics = Metrics(busy_node(), "0.1.0", lambda: WALL)
    body, content_type = metrics.render("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")
