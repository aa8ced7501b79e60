"""What holds for every test: none leaves its logging behind, or the next one's lines go nowhere."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """Commands that run inside a test set up logging for the whole process, as they should."""
    root, ours = logging.getLogger(), logging.getLogger("dmqcache")
    handlers, level, own_level = list(root.handlers), root.level, ours.level
    disabled, propagate = logging.root.manager.disable, ours.propagate
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    ours.setLevel(own_level)
    ours.propagate = propagate
    logging.disable(disabled)
