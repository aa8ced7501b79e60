"""Writes a node's metrics in Prometheus' formats.

Owns the registry, one for each node so that several live in one process, and the limits on labels. What is
exported stands in ``exported.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from dmqcache.metrics.export import Export
from dmqcache.metrics.exported import EXPORTS
from dmqcache.metrics.node_view import NodeView
from dmqcache.metrics.reading import OTHER, Labels, Reading, Samples
from dmqcache.store.table.store_counters import Histogram

#: Label sets that one metric may have beyond those known beforehand; what comes later is added up under
#: ``other``. Reasons, codes and channels are far fewer; this holds should something on the wire name them.
MAX_SERIES: Final = 200


def label_text(text: str) -> str:
    """A label as Prometheus can carry it: bytes that are no UTF-8 are shown as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8", "replace")


def bounded(
    samples: Samples, known: Iterable[Labels] = (), limit: int = MAX_SERIES
) -> Iterator[tuple[Labels, float]]:
    """All known series, at 0 where there is no sample; then the first ``limit`` others as they are, and the
    rest added up under ``other``.

    First come, first kept: a series never changes its name, so no counter ever falls.
    """
    found = dict.fromkeys(known, 0.0)
    others = []
    for key, number in samples:
        if key in found:
            found[key] = number
        else:
            others.append((key, number))
    yield from found.items()
    rest, labels = 0.0, 0
    for index, (key, number) in enumerate(others):
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


def family(export: Export, reading: Reading) -> Metric:
    """One metric as prometheus-client writes it."""
    found = export.read(reading)
    if isinstance(found, Histogram):
        return HistogramMetricFamily(export.name, export.help, _cumulated(found), found.sum)
    maker = CounterMetricFamily if export.kind == "counter" else GaugeMetricFamily
    metric = maker(export.name, export.help, labels=export.labels)
    for labels, number in bounded(found, export.known(reading)):
        metric.add_metric([label_text(text) for text in labels], float(number))
    return metric


class NodeCollector(Collector):
    """Reads one node at each scrape."""

    def __init__(self, node: NodeView, version: str, wall: Callable[[], float]) -> None:
        self.node = node
        self.version = version
        self.wall = wall

    def collect(self) -> Iterator[Metric]:
        reading = Reading(self.node, self.version, self.wall())
        for export in EXPORTS:
            yield family(export, reading)

    def describe(self) -> Iterator[Metric]:
        """The names, without asking the node, which may not have started yet."""
        for export in EXPORTS:
            yield Metric(export.name, export.help, export.kind)


class Metrics:
    """One node's metrics in Prometheus' formats."""

    def __init__(self, node: NodeView, version: str, wall: Callable[[], float]) -> None:
        """``wall``: Unix time."""
        self.registry = CollectorRegistry()
        self.registry.register(NodeCollector(node, version, wall))
        # Memory, CPU time, open files and start time of the process, read from /proc.
        ProcessCollector(registry=self.registry)

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """The body and its Content-Type; OpenMetrics for a reader that asks for it."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type
