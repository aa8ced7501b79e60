"""What the page's sections are made of: how numbers, times and lists read, and that texts are harmless."""

from __future__ import annotations

import pytest

from dmqcache.server.http.page_parts import duration, listing, number, rate, section, size, text


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.4, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (3659, "1 h"),
        (7260, "2 h 1 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_duration(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_number() -> None:
    assert number(1234567) == "1\u202f234\u202f567"


@pytest.mark.parametrize(
    ("per_second", "shown"),
    [
        (None, "–"),
        (0.0, "0/s"),
        (0.01, "< 0.1/s"),
        (0.25, "0.2/s"),
        (9.96, "10.0/s"),
        (1234.5, "1\u202f234/s"),
    ],
)
def test_rate(per_second: float | None, shown: str) -> None:
    assert rate(per_second) == shown


@pytest.mark.parametrize(
    ("octets", "shown"),
    [(None, "–"), (12, "12 B"), (1536, "1.5 KiB"), (150 << 20, "150 MiB"), (3 << 30, "3.0 GiB")],
)
def test_size(octets: int | None, shown: str) -> None:
    assert size(octets) == shown


def test_listing() -> None:
    assert listing([]) == ""
    assert listing(["a"]) == "a"
    assert listing(["a", "b"]) == "a and b"
    assert listing(["a", "b", "c"]) == "a, b and c"
    assert listing(list("abcdefg"), most=3) == "a, b, c and 4 more"


def test_what_cannot_be_printed_is_shown_as_an_escape() -> None:
    assert text("é <b> \udcff \x1b[0m \u202e") == "é &lt;b&gt; \\udcff \\x1b[0m \\u202e"


def test_a_section_says_how_many_lines_are_left_out() -> None:
    assert "and 7 more" in section("T", [("A", False)], [("x",)], "", 8)
    assert "nothing" in section("T", [("A", False)], [], "nothing", 0)
