"""What is exported of what a node stores, read as Prometheus reads it."""

from __future__ import annotations

import pytest

from tests.metrics.scrape import values
from tests.server.served import busy_node


@pytest.mark.parametrize(
    ("sample", "labels", "number"),
    [
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
        ("dmqcache_disk_flush_timestamp_seconds", (), 1_767_323_040),
        ("dmqcache_disk_size_bytes", (), 81_920),
        ("dmqcache_disk_behind_seconds", (), 0.25),
        ("dmqcache_disk_flush_interval_seconds", (), 1),
        ("dmqcache_disk_errors_total", (), 1),
        ("dmqcache_sync_cells_total", ("in",), 500),
        ("dmqcache_repairs_total", ("equal",), 7),
        ("dmqcache_repair_cells_total", ("out",), 2),
    ],
)
def test_numbers(sample: str, labels: tuple[str, ...], number: float) -> None:
    assert values(busy_node())[sample, labels] == number


def test_a_node_without_a_disk_says_nothing_of_one() -> None:
    node = busy_node()
    node.disk = None
    assert [name for name, _ in values(node) if name.startswith("dmqcache_disk_")] == []


def test_size_of_a_table_is_exported() -> None:
    node = busy_node()
    assert values(node)["dmqcache_table_size_bytes", ("users",)] == node.tables["users"].text_bytes > 0


def test_delay_is_cumulated() -> None:
    found = values(busy_node())
    assert found["dmqcache_replication_delay_seconds_bucket", ("0.0005",)] == 0
    assert found["dmqcache_replication_delay_seconds_bucket", ("0.001",)] == 40
    assert found["dmqcache_replication_delay_seconds_bucket", ("0.2",)] == 40
    assert found["dmqcache_replication_delay_seconds_bucket", ("0.5",)] == 41
    assert found["dmqcache_replication_delay_seconds_bucket", ("+Inf",)] == 41
    assert found["dmqcache_replication_delay_seconds_count", ()] == 41
    assert found["dmqcache_replication_delay_seconds_sum", ()] == pytest.approx(0.332)
