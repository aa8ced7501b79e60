"""Has the end of a run say which cells of the README's matrix ran and passed."""

from tests.interop.matrix_report import pytest_configure

__all__ = ["pytest_configure"]
