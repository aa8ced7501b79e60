"""Expressions as Kamailio writes them, in RE2's words. What they then pick is ``test_patterns.py``'s."""

from __future__ import annotations

import pytest
import re2
from hypothesis import example, given
from hypothesis import strategies as st

from dmqcache.store.table.ere import PatternError, translate


@pytest.mark.parametrize(
    ("pattern", "written"),
    [
        (b"", rb"(?m)"),
        (b"a", rb"(?m)[\x41-\x41\x61-\x61]"),
        (b"1", rb"(?m)\x31"),
        (b"\xe9", rb"(?m)\xe9"),
        (b".", rb"(?m)[\x00-\x09\x0b-\xff]"),
        (b"^1$", rb"(?m)^\x31$"),
        (b"(1|2)", rb"(?m)(?:\x31|\x32)"),
        (b")", rb"(?m)\x29"),
        (b"1*", rb"(?m)\x31*"),
        (b"1{2,}", rb"(?m)\x31{2,}"),
        (b"1{,3}", rb"(?m)\x31{0,3}"),
        (b"[^1]", rb"(?m)[\x00-\x09\x0b-\x30\x32-\xff]"),
        (b"[0-2]", rb"(?m)[\x30-\x32]"),
        (b"[[:digit:]]", rb"(?m)[\x30-\x39]"),
        (rb"[\1]", rb"(?m)[\x31-\x31\x5c-\x5c]"),
        (rb"\.", rb"(?m)\x2e"),
        (rb"\`1\'", rb"(?m)\A\x31\z"),
        (rb"\d", rb"(?m)[^\x00-\xff]"),
    ],
)
def test_each_kind_of_token_is_written_anew(pattern: bytes, written: bytes) -> None:
    assert translate(pattern) == written


def test_what_was_repeated_and_is_repeated_again_is_a_group_and_not_lazy() -> None:
    assert translate(b"1*?") == rb"(?m)(?:\x31*)?"
    assert translate(b"(1)+?") == rb"(?m)(?:(?:\x31)+)?"


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        (b"*", "nothing to repeat before '*'"),
        (b"(+", "nothing to repeat before '+'"),
        (b"1|?", "nothing to repeat before '?'"),
        (b"(1", "a '(' is not closed"),
        (b"[1", "a '[' is not closed"),
        (b"1{x", "a '{' is not followed by"),
        (b"1{3,2}", "ends before it begins"),
        (b"1{1001}", "at most 1000 repetitions"),
        (b"\\", "ends with a single backslash"),
        (rb"(1)\1", "back-references are not available"),
        (b"[[:nope:]]", "unknown class in brackets; valid are [:alnum:] [:alpha:]"),
        (b"[2-1]", "a range in brackets ends before it begins"),
        (b"[0-1-2]", "a '-' in brackets is a range's"),
        (rb"\<.", "is available only before what begins with a letter"),
        (rb"\<1?", "is available only before what cannot be left out"),
        (rb"(\<)", "is available only before a letter"),
        (rb".\>", "is available only after what ends with a letter"),
        (rb"(1|.)\>", "is available only after what ends with a letter"),
    ],
)
def test_what_cannot_be_used_is_told_why(pattern: bytes, reason: str) -> None:
    with pytest.raises(PatternError) as refused:
        translate(pattern)
    assert reason in str(refused.value)


def test_only_the_strict_refuse_a_letter_that_has_no_meaning_behind_a_backslash() -> None:
    assert translate(rb"\Q") == translate(b"Q")
    for pattern in (rb"\d", rb"\Q", rb"a\n"):
        with pytest.raises(PatternError, match="is not known; there are"):
            translate(pattern, strict=True)
    assert translate(rb"\w\.\<1\>", strict=True) == translate(rb"\w\.\<1\>")


@given(st.binary(max_size=12))
@example(b"[]")
@example(b"[^]")
@example(b"{")
@example(b"[[.")
@example(b"[a-[:digit:]]")
def test_any_bytes_give_what_re2_reads_or_a_reason(pattern: bytes) -> None:
    try:
        written = translate(pattern)
    except PatternError as error:
        assert str(error)
        return
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    re2.compile(written, options)
