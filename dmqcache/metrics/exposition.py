"""Writes a node's metrics in Prometheus' formats.

Owns the registry, one for each node so that several live in one process, and the limits on labels. What is
exported stands in ``metrics.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from dmqcache.metrics.exported import EXPORTS, OTHER, Export, Reading, Samples
from dmqcache.metrics.node_view import NodeView
from dmqcache.store.table.store_counters import Histogram

#: Label sets that one metric may have; what comes later is added up under ``other``. Reasons, codes and
#: channels are far fewer; this holds should something on the wire ever name them.
MAX_SERIES: Final = 200


def label_text(text: str) -> str:
    """A label as Prometheus can carry it: bytes that are no UTF-8 are shown as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8", "replace")


def bounded(samples: Samples, limit: int = MAX_SERIES) -> Iterator[tuple[tuple[str, ...], float]]:
    """The first ``limit`` series as they are, the others added up under ``other``.

    First come, first kept: a series never changes its name, so no counter ever falls.
    """
    rest, labels = 0.0, 0
    for index, (key, number) in enumerate(samples):
        if index < limit:
            yield key, number
        else:
            rest, labels = rest + number, len(key)
    if labels:
        yield (OTHER,) * labels, rest


def _cumulated(histogram: Histogram) -> list[tuple[str, float]]:
    buckets, total = [], 0
    for bound, count in zip((*histogram.bounds, float("inf")), histogram.counts, strict=True):
        total += count
        buckets.append(("+Inf" if bound == float("inf") else repr(float(bound)), float(total)))
    return buckets


def family(export: Export, found: Samples | Histogram) -> Metric:
    """One metric as prometheus-client writes it."""
    if isinstance(found, Histogram):
        return HistogramMetricFamily(export.name, export.help, _cumulated(found), found.sum)
    maker = CounterMetricFamily if export.kind == "counter" else GaugeMetricFamily
    metric = maker(export.name, export.help, labels=export.labels)
    for labels, number in bounded(found):
        metric.add_metric([label_text(text) for text in labels], float(number))
    return metric


class NodeCollector(Collector):
    """Reads one node at each scrape."""

    def __init__(self, node: NodeView, version: str) -> None:
        self.node = node
        self.version = version

    def collect(self) -> Iterator[Metric]:
        reading = Reading(self.node, self.version)
        for export in EXPORTS:
            yield family(export, export.read(reading))

    def describe(self) -> Iterator[Metric]:
        """The names, without asking the node, which may not have started yet."""
        for export in EXPORTS:
            yield Metric(export.name, export.help, export.kind)


class Metrics:
    """One node's metrics in Prometheus' formats."""

    def __init__(self, node: NodeView, version: str) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(NodeCollector(node, version))
        # Memory, CPU time, open files and start time of the process, read from /proc.
        ProcessCollector(registry=self.registry)

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """The body and its Content-Type; OpenMetrics for a reader that asks for it."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type
