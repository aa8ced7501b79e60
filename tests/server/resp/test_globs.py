"""Redis' glob patterns."""

from __future__ import annotations

import pytest

from dmqcache.server.resp.globs import compile_glob, literal_prefix

MATCHES = [
    ("*", "", False),
    ("*", "any\nthing", True),
    ("a*", "abc", True),
    ("a*", "ba", False),
    ("*c", "abc", True),
    ("*b*", "abc", True),
    ("a*b*c", "aXbYc", True),
    ("a*b*c", "aXbYcZ", False),
    ("a*bc*bc", "abcbc", True),
    ("h?llo", "hello", True),
    ("h?llo", "hllo", False),
    ("h[ae]llo", "hallo", True),
    ("h[ae]llo", "hillo", False),
    ("h[^e]llo", "hallo", True),
    ("h[^e]llo", "hello", False),
    ("h[a-c]llo", "hbllo", True),
    ("h[c-a]llo", "hbllo", True),
    ("h[a-c]llo", "hdllo", False),
    ("h\\*llo", "h*llo", True),
    ("h\\*llo", "hello", False),
    ("[\\]]", "]", True),
    ("[]", "x", False),
    ("[ab", "a", True),
    ("a\\", "a\\", True),
    ("a.b", "axb", False),
    ("(", "(", True),
    ("", "", True),
    ("", "a", False),
    ("ä?", "äö", False),
    ("ä??", "äö", True),
    ("?", "ä", False),
    ("a?", "a\udcff", True),
    ("**", "x", True),
]


@pytest.mark.parametrize(("pattern", "text", "expected"), MATCHES)
def test_a_pattern(pattern: str, text: str, expected: bool) -> None:
    assert compile_glob(pattern)(text) is expected


@pytest.mark.parametrize(
    ("pattern", "prefix", "is_all"),
    [
        ("*", "", True),
        ("user:*", "user:", True),
        ("user:**", "user:", True),
        ("user:?", "user:", False),
        ("us*er", "us", False),
        ("a\\*b*", "a*b", True),
        ("plain", "plain", False),
        ("[a]*", "", False),
        ("", "", False),
    ],
)
def test_what_every_match_begins_with(pattern: str, prefix: str, is_all: bool) -> None:
    assert literal_prefix(pattern) == (prefix, is_all)


def test_a_hostile_pattern_does_not_explode() -> None:
    # With a matcher that comes back to each star this does not end.
    assert not compile_glob("*a" * 30 + "b")("a" * 2000)
