"""Numbers with a fraction as Redis keeps them: a C ``long double``, 64 bits of mantissa, written with 17
decimals at most. Python's own floats have 53 bits, and would answer 0.30000000000000004 where Redis answers
0.3."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

from dmqcache.server.resp.reply import CommandError

MANTISSA_BITS: Final = 64
DECIMALS: Final = 17
#: The largest power of ten that a long double holds.
MAX_EXPONENT: Final = 4932
#: Characters of a number; Redis reads no longer ones.
MAX_LENGTH: Final = 255

_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE]([+-]?[0-9]{1,6}))?")
_INFINITE: Final = re.compile(r"[+-]?inf(?:inity)?", re.IGNORECASE)


def parse(text: str) -> Fraction | None:
    """The number; None for an infinite one. Redis' error for what is none."""
    if _INFINITE.fullmatch(text):
        return None
    match = _NUMBER.fullmatch(text) if len(text) <= MAX_LENGTH else None
    if match is None or abs(int(match[1] or 0)) > MAX_EXPONENT:
        raise CommandError("ERR value is not a valid float")
    return rounded(Fraction(text))


def rounded(number: Fraction) -> Fraction:
    """To the nearest that fits, ties to even."""
    if not number:
        return number
    size = abs(number)
    exponent = size.numerator.bit_length() - size.denominator.bit_length() - MANTISSA_BITS
    # Within one of the right power of two: the mantissa then tells.
    while size / Fraction(2) ** exponent >= 1 << MANTISSA_BITS:
        exponent += 1
    return round(number / Fraction(2) ** exponent) * Fraction(2) ** exponent


def written(number: Fraction) -> str:
    """As Redis writes it: no exponent, no zeros at the end."""
    scaled = round(abs(number) * 10**DECIMALS)
    whole, rest = divmod(scaled, 10**DECIMALS)
    text = f"{whole}.{rest:0{DECIMALS}d}".rstrip("0").rstrip(".")
    return f"-{text}" if number < 0 and text != "0" else text
