"""Numbers with a fraction as Redis writes them."""

from __future__ import annotations

from fractions import Fraction

import pytest

from dmqcache.server.resp.long_double import parse, rounded, written
from dmqcache.server.resp.reply import CommandError


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("0.1", "0.1"),
        ("3.0e3", "3000"),
        ("-0.0", "0"),
        ("5.", "5"),
        (".5", "0.5"),
        ("1e-17", "0.00000000000000001"),
    ],
)
def test_numbers(text: str, shown: str) -> None:
    number = parse(text)
    assert number is not None and written(number) == shown


def test_sums_have_sixty_four_bits() -> None:
    total = (parse("0.1") or Fraction(0)) + (parse("0.2") or Fraction(0))
    assert written(rounded(total)) == "0.3"
    assert written(rounded(Fraction(2**64 + 1))) == str(2**64)
    assert written(rounded(Fraction(-(2**63) - 1))) == str(-(2**63) - 1)


@pytest.mark.parametrize("text", ["", "x", "nan", "1.5.5", " 1", "1e9999", "1e999999999", "1" * 300])
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(CommandError, match="not a valid float"):
        parse(text)


def test_an_infinite_one_is_none() -> None:
    assert parse("-inf") is None and parse("Infinity") is None
