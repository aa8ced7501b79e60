"""One scrape of a stand-in node, as text and as numbers."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from dmqcache.metrics.exported import EXPORTS
from dmqcache.metrics.exposition import Metrics
from dmqcache.metrics.node_view import NodeView

#: Unix time of the scrape.
WALL = 1_767_323_045.0


def text_of(node: NodeView, accept: str = "") -> str:
    """What /metrics says."""
    return Metrics(node, "0.1.0", lambda: WALL).render(accept)[0].decode()


def values(node: NodeView) -> dict[tuple[str, tuple[str, ...]], float]:
    """Sample name and label values, in the order of the table -> number."""
    order = {export.name: export.labels for export in EXPORTS}
    found = {}
    for metric in text_string_to_metric_families(text_of(node)):
        for sample in metric.samples:
            names = ("le",) if "le" in sample.labels else order.get(metric.name, ())
            found[sample.name, tuple(sample.labels[name] for name in names)] = sample.value
    return found
