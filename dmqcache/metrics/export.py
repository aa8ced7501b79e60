"""What a metric is: one row of ``exported.py``, ``exported_store.py`` or ``exported_peers.py``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from dmqcache.metrics.reading import Labels, Reading, Samples
from dmqcache.store.table.store_counters import Histogram


@dataclass(frozen=True, slots=True)
class Export:
    """One metric. A counter's samples are named ``NAME_total``; units stand in the name."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...]
    read: Callable[[Reading], Samples | Histogram]
    #: Labels of the series that are there from the start, at 0.
    known: Callable[[Reading], Iterable[Labels]] = lambda reading: ()
