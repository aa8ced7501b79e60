"""A row of the table of metrics."""

from __future__ import annotations

from dmqcache.metrics.export import Export
from dmqcache.metrics.reading import Reading
from tests.metrics.scrape import WALL
from tests.server.served import ServedNode


def test_a_row_that_says_nothing_of_it_has_no_series_from_the_start() -> None:
    export = Export("x", "gauge", "X.", (), lambda reading: [((), 1)])
    reading = Reading(ServedNode(), "0.1.0", WALL)
    assert (list(export.known(reading)), export.read(reading)) == ([], [((), 1)])
