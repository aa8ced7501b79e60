"""What /metrics says: every export is there, named as Prometheus wants it, and bounded whatever comes."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dmqcache.metrics.exported import EXPORTS
from dmqcache.metrics.reading import STATUSES
from tests.metrics.scrape import WALL, text_of, values
from tests.server.served import ServedNode, busy_node


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
        ("dmqcache_nodes", ("timeout",), 1),
        ("dmqcache_node_up", ("sip:127.0.0.12:5060",), 1),
        ("dmqcache_node_up", ("sip:127.0.0.15:5060",), 0),
        ("dmqcache_node_lost_timestamp_seconds", ("sip:127.0.0.15:5060",), WALL - 90),
        ("dmqcache_node_lost_timestamp_seconds", ("sip:127.0.0.12:5060",), 0),
        ("dmqcache_node_trouble", ("sip:127.0.0.16:5060", "unlisted"), 1),
        ("dmqcache_node_trouble", ("sip:127.0.0.16:5060", "refuses_list"), 0),
        ("dmqcache_node_trouble", ("sip:127.0.0.12:5060", "unlisted"), 0),
        ("dmqcache_node_rtt_seconds", ("sip:127.0.0.12:5060",), 0.0007),
        ("dmqcache_node_outbox_changes", ("sip:127.0.0.12:5060",), 3),
        ("dmqcache_messages_total", ("htable", "out", "request"), 12),
        ("dmqcache_sip_bytes_total", ("in",), 2048),
        ("dmqcache_retransmissions_total", ("out",), 2),
        ("dmqcache_retransmissions_total", ("in",), 0),
        ("dmqcache_timeouts_total", ("htable",), 1),
        ("dmqcache_drops_total", ("bad_json", "fault"), 3),
        ("dmqcache_drops_total", ("udp_keepalive", "normal"), 60),
        ("dmqcache_unknown_channel_requests_total", ("usrloc",), 2),
        ("dmqcache_handler_errors_total", ("htable",), 1),
    ],
)
def test_numbers(sample: str, labels: tuple[str, ...], number: float) -> None:
    assert values(busy_node())[sample, labels] == number


def test_the_own_node_is_not_among_the_others() -> None:
    assert ("dmqcache_node_up", ("sip:127.0.0.11:5060",)) not in values(busy_node())


def test_not_ready_while_syncing() -> None:
    node = ServedNode()
    node.ready = False
    assert values(node)["dmqcache_ready", ()] == 0


def test_every_status_is_there_from_the_start() -> None:
    found = values(ServedNode())
    assert all(("dmqcache_nodes", (status,)) in found for status in STATUSES)


def test_who_said_goodbye_is_no_node_that_should_answer() -> None:
    assert ("dmqcache_node_up", ("sip:[::1]:5060;transport=tcp",)) not in values(busy_node())


def test_what_can_go_wrong_is_there_at_0_before_it_does() -> None:
    """The first event is an increase, which no alert sees of a series that begins with it."""
    node = ServedNode("users", "calls")
    node.bus.counters.serve_channel("htable")
    found = values(node)
    for sample, labels in (
        ("dmqcache_handler_errors_total", ("htable",)),
        ("dmqcache_timeouts_total", ("htable",)),
        ("dmqcache_drops_total", ("udp_receive_buffer", "fault")),
        ("dmqcache_drops_total", ("bad_via", "fault")),
        ("dmqcache_changes_total", ("calls", "kamailio")),
        ("dmqcache_changes_withheld_total", ("users", "nul_in_text")),
        ("dmqcache_changes_withheld_total", ("calls", "answered_400")),
        ("dmqcache_versions_clamped_total", ("calls",)),
        ("dmqcache_repairs_total", ("failed",)),
        ("dmqcache_clients_refused_total", ("auth",)),
    ):
        assert found[sample, labels] == 0


def test_promtool_finds_nothing_to_improve() -> None:
    promtool = shutil.which("promtool")
    assert promtool, "promtool is missing: apt-get install prometheus"
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=text_of(busy_node()), text=True, capture_output=True
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
