"""What /metrics says: every export is there, named as Prometheus wants it, and bounded whatever comes."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dmqcache.metrics.exported import EXPORTS, MAX_NODES, OTHER, STATUSES
from dmqcache.metrics.exposition import MAX_SERIES, Metrics, bounded, label_text
from dmqcache.metrics.node_view import NodeView
from tests.server.served import Row, ServedNode, busy_node


def text_of(node: NodeView) -> str:
    return Metrics(node, "0.1.0").render()[0].decode()


def values(node: NodeView) -> dict[tuple[str, tuple[str, ...]], float]:
    """Sample name and label values, in the order of the table -> number."""
    order = {export.name: export.labels for export in EXPORTS}
    found = {}
    for metric in text_string_to_metric_families(text_of(node)):
        for sample in metric.samples:
            names = ("le",) if "le" in sample.labels else order.get(metric.name, ())
            found[sample.name, tuple(sample.labels[name] for name in names)] = sample.value
    return found


def test_every_export_has_a_sample_on_a_busy_node() -> None:
    names = {name for name, _ in values(busy_node())}
    for export in EXPORTS:
        suffix = {"counter": "_total", "gauge": "", "histogram": "_bucket"}[export.kind]
        assert export.name + suffix in names


def test_labels_are_those_of_the_table() -> None:
    kinds = {export.name: export for export in EXPORTS}
    for metric in text_string_to_metric_families(text_of(busy_node())):
        if metric.name in kinds:
            labels = {name for sample in metric.samples for name in sample.labels} - {"le"}
            assert labels == set(kinds[metric.name].labels)
            assert metric.type == kinds[metric.name].kind


@pytest.mark.parametrize(
    ("sample", "labels", "number"),
    [
        ("dmqcache_build_info", ("0.1.0",), 1),
        ("dmqcache_ready", (), 1),
        ("dmqcache_nodes", ("active",), 2),
        ("dmqcache_nodes", ("pending",), 1),
        ("dmqcache_nodes", ("timeout",), 0),
        ("dmqcache_node_up", ("sip:127.0.0.12:5060",), 1),
        ("dmqcache_node_up", ("sip:[::1]:5060;transport=tcp",), 0),
        ("dmqcache_node_rtt_seconds", ("sip:127.0.0.12:5060",), 0.0007),
        ("dmqcache_node_outbox_changes", ("sip:127.0.0.12:5060",), 3),
        ("dmqcache_messages_total", ("htable", "out", "request"), 12),
        ("dmqcache_sip_bytes_total", ("in",), 2048),
        ("dmqcache_retransmissions_total", ("out",), 2),
        ("dmqcache_retransmissions_total", ("in",), 0),
        ("dmqcache_timeouts_total", ("htable",), 1),
        ("dmqcache_drops_total", ("bad_json",), 3),
        ("dmqcache_handler_errors_total", ("htable",), 1),
        ("dmqcache_changes_total", ("users", "local"), 3),
        ("dmqcache_changes_refused_total", ("users", "older"), 1),
        ("dmqcache_changes_withheld_total", ("users", "nul"), 1),
        ("dmqcache_versions_clamped_total", ("users",), 1),
        ("dmqcache_table_cells", ("users",), 2),
        ("dmqcache_table_cells", ("plain",), 0),
        ("dmqcache_table_tombstones", ("users",), 1),
        ("dmqcache_table_hits_total", ("users",), 1),
        ("dmqcache_table_misses_total", ("users",), 1),
        ("dmqcache_table_sets_total", ("users",), 3),
        ("dmqcache_table_deletes_total", ("users",), 1),
        ("dmqcache_sync_cells_total", ("in",), 500),
        ("dmqcache_repairs_total", ("equal",), 7),
        ("dmqcache_repair_cells_total", ("out",), 2),
    ],
)
def test_numbers(sample: str, labels: tuple[str, ...], number: float) -> None:
    assert values(busy_node())[sample, labels] == number


def test_size_of_a_table_is_exported() -> None:
    node = busy_node()
    assert values(node)["dmqcache_table_size_characters", ("users",)] == node.tables["users"].bytes > 0


def test_the_own_node_is_not_among_the_others() -> None:
    assert ("dmqcache_node_up", ("sip:127.0.0.11:5060",)) not in values(busy_node())


def test_delay_is_cumulated() -> None:
    found = values(busy_node())
    assert found["dmqcache_replication_delay_seconds_bucket", ("0.0005",)] == 0
    assert found["dmqcache_replication_delay_seconds_bucket", ("0.001",)] == 40
    assert found["dmqcache_replication_delay_seconds_bucket", ("0.2",)] == 40
    assert found["dmqcache_replication_delay_seconds_bucket", ("0.5",)] == 41
    assert found["dmqcache_replication_delay_seconds_bucket", ("+Inf",)] == 41
    assert found["dmqcache_replication_delay_seconds_count", ()] == 41
    assert found["dmqcache_replication_delay_seconds_sum", ()] == pytest.approx(0.332)


def test_not_ready_while_syncing() -> None:
    node = ServedNode()
    node.ready = False
    assert values(node)["dmqcache_ready", ()] == 0


def test_every_status_is_there_from_the_start() -> None:
    found = values(ServedNode())
    assert all(("dmqcache_nodes", (status,)) in found for status in STATUSES)


def test_statuses_are_the_buses() -> None:
    from dmqcache.bus.node import NodeStatus

    assert set(STATUSES) == set(NodeStatus)


def test_a_forged_list_of_nodes_stays_small() -> None:
    node = ServedNode()
    node.rows += [Row(f"sip:10.0.{i // 250}.{i % 250}:5060", "pending", backlog=1) for i in range(1000)]
    found = values(node)
    assert sum(name == "dmqcache_node_up" for name, _ in found) == MAX_NODES
    # The active one comes first, so that the forged ones do not hide it.
    assert found["dmqcache_node_up", ("sip:127.0.0.12:5060",)] == 1
    # Nothing that waits is lost from the sum.
    assert (
        sum(number for (name, _), number in found.items() if name == "dmqcache_node_outbox_changes") == 1003
    )


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


def test_labels_carry_any_bytes_as_escapes() -> None:
    node = ServedNode()
    node.bus.counters.drops["a\udcffb"] += 1
    node.bus.counters.drops['quote " line\n'] += 1
    found = values(node)
    assert found["dmqcache_drops_total", ("a\\udcffb",)] == 1
    assert found["dmqcache_drops_total", ('quote " line\n',)] == 1
    assert label_text("é") == "é"


def test_two_nodes_share_no_registry() -> None:
    one, other = ServedNode(), ServedNode("calls")
    assert 'table="users"' not in text_of(other)
    assert 'table="calls"' not in text_of(one)


def test_nothing_is_asked_of_a_node_that_has_not_started() -> None:
    class Unborn(ServedNode):
        def node_rows(self) -> list[Row]:
            raise AssertionError("asked before the first scrape")

    Metrics(Unborn(), "0.1.0")


def test_open_metrics_for_those_who_ask() -> None:
    body, content_type = Metrics(busy_node(), "0.1.0").render("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


def test_promtool_finds_nothing_to_improve() -> None:
    promtool = shutil.which("promtool")
    assert promtool, "promtool is missing: apt-get install prometheus"
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=text_of(busy_node()), text=True, capture_output=True
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
