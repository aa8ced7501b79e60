"""Patterns: what they pick, that none can hold the loop, and that glibc reads them alike."""

from __future__ import annotations

import ctypes
import locale
import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dmqcache.store.table.patterns import (
    MAX_PATTERN_BYTES,
    MatchKind,
    PatternError,
    compile_pattern,
)


def picks(pattern: str, text: str, kind: MatchKind = MatchKind.REGEX) -> bool:
    return compile_pattern(kind, pattern)(text)


def raw(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


@pytest.mark.parametrize(
    ("pattern", "text", "picked"),
    [
        ("^k1", "K12", True),  # case does not matter
        ("k1", "xxk1xx", True),  # found anywhere
        ("^k1", "ak1", False),
        ("^b$", "a\nb\nc", True),  # lines
        ("a.c", "a\nc", False),
        ("a[^x]c", "a\nc", False),
        ("a\nc", "a\nc", True),
        ("[[:digit:]]+$", "a1", True),
        ("^[[:alpha:]_]+$", "a_B", True),
        ("[]x]", "]", True),
        ("[^]x]", "]", False),
        ("[a-]", "-", True),
        (r"[\d]", "\\", True),  # a backslash in brackets is a backslash
        (r"[\d]", "5", False),
        (r"\.", "ab", False),
        (r"^\w+$", "a_1", True),
        (r"\W", "a\n", True),
        (r"\S", " \n", False),
        (r"\<foo\>", "a foo b", True),
        (r"\<foo\>", "afoo foob", False),
        (r"\<(foo|bar[0-9]+)\>", "-bar12-", True),
        (r"\<(foo|bar[0-9]+)\>", "foo1 bar", False),
        (r"\`a", "b\na", False),  # the text's ends, not a line's
        (r"a\'", "a\nb", False),
        ("[A-z]", "_", False),  # A to Z: both ends count as capitals
        ("[A-z]", "q", True),
        ("[9-a]", "@", True),
        ("[9-a]", "b", False),
        ("[[.-.]]", "-", True),
        ("a)", "xa)x", True),  # a ')' too many is a character
        (")*b", "))b", True),
        ("^a{,}$", "aaa", True),
        (r"\bfoo\b", "a foo b", True),
        (r"\bfoo\b", "afoob", False),
        ("^a{2,3}$", "aaaa", False),
        ("^a{2,}$", "aaaa", True),
        ("^(ab|c)+$", "abcab", True),
        ("^(a|)$", "", True),
        ("a+?b", "b", True),  # glibc: (a+)?, not Perl's "not greedy"
        ("^(a**)$", "aaa", True),
        ("", "anything", True),
        ("}", "}", True),
        ("k", "\u212a", False),  # the Kelvin sign is no k: ASCII only
        ("é", "É", False),
        ("é", "xéx", True),
        ("^h.llo$", "hello", True),
        ("^h..llo$", "hällo", True),  # a dot is one byte
    ],
)
def test_regular_expressions_mean_what_kamailio_means(pattern: str, text: str, picked: bool) -> None:
    assert picks(pattern, text) is picked


@pytest.mark.parametrize(
    ("kind", "pattern", "text", "picked"),
    [
        (MatchKind.PREFIX, "k2", "k22", True),
        (MatchKind.PREFIX, "k2", "K22", False),
        (MatchKind.PREFIX, "k.", "k2", False),
        (MatchKind.SUFFIX, "22", "k22", True),
        (MatchKind.SUFFIX, "2k", "k22", False),
        (MatchKind.CONTAINS, "2", "k22", True),
        (MatchKind.CONTAINS, "K", "k22", False),
        (MatchKind.CONTAINS, "", "", True),
    ],
)
def test_plain_kinds_compare_characters_with_case(
    kind: MatchKind, pattern: str, text: str, picked: bool
) -> None:
    assert picks(pattern, text, kind) is picked


@given(st.binary(max_size=4), st.binary(max_size=8))
def test_plain_kinds_compare_bytes(part: bytes, text: bytes) -> None:
    assert picks(raw(part), raw(text), MatchKind.PREFIX) is text.startswith(part)
    assert picks(raw(part), raw(text), MatchKind.SUFFIX) is text.endswith(part)
    assert picks(raw(part), raw(text), MatchKind.CONTAINS) is (part in text)


def test_half_of_a_character_is_a_prefix_of_it() -> None:
    assert picks(raw("é".encode()[:1]), "é", MatchKind.PREFIX)
    assert picks(raw("é".encode()[1:]), "é", MatchKind.SUFFIX)


@given(st.binary(min_size=1, max_size=8), st.binary(max_size=20))
def test_regular_expressions_compare_bytes(part: bytes, text: bytes) -> None:
    escaped = b"".join(b"[%c]" % byte if byte not in b"^\n" else b"\\^" for byte in part)
    part = part.replace(b"\n", b"^")
    assert picks(raw(escaped), raw(text)) is (part.lower() in text.lower())


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        (r"(a)\1", "back-references are not available"),
        (r"\<", "only before a letter"),
        (r"\<|a", "only before a letter"),
        (r"\<-", "only before what begins with a letter"),
        (r"\<^a", "only right before"),
        (r"\<a*b", "cannot be left out"),
        (r"\<(a|b)?c", "cannot be left out"),
        (r"\>a", "only after what ends with a letter"),
        (r"(a|-)\>", "only after what ends with a letter"),
        (r"a*\>", "only after what ends with a letter"),
        ("\\", "ends with a single backslash"),
        ("(a", "'(' is not closed"),
        ("*a", "nothing to repeat before '*'"),
        ("a|+", "nothing to repeat"),
        ("^*", "nothing to repeat"),
        ("(?i)a", "nothing to repeat before '?'"),
        ("a{", "'{' is not followed by"),
        ("a{x}", "'{' is not followed by"),
        ("a{3,1}", "ends before it begins"),
        ("a{1001}", "at most 1000"),
        ("a{99999}", "'{' is not followed by"),
        ("[a", "'[' is not closed"),
        ("[a-", "'[' is not closed"),
        ("[z-a]", "ends before it begins"),
        ("[[:nope:]]", "unknown class"),
        ("[[.ab.]]", "collating"),
        ("[_-z]", "letters count as capitals"),
        ("[a-c-e]", "a '-' in brackets"),
        ("[a-[:alpha:]]", "class or collating"),
        ("((a{100}){100}){100}", "too large"),
        ("a{900}", "too large"),
        ("a" * (MAX_PATTERN_BYTES + 1), "at most 1024"),
    ],
)
def test_says_what_is_wrong_with_a_pattern(pattern: str, says: str) -> None:
    with pytest.raises(PatternError) as caught:
        compile_pattern(MatchKind.REGEX, pattern)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_plain_patterns_have_a_length_limit_too() -> None:
    for kind in MatchKind:
        with pytest.raises(PatternError):
            compile_pattern(kind, "a" * (MAX_PATTERN_BYTES + 1))


@pytest.mark.parametrize("pattern", ["(a+)+$", "^(a|a)*$", "([a-z]+)*z$", "(a?){30}a{30}$", "(.*a){12}$"])
def test_patterns_that_explode_elsewhere_end_here(pattern: str) -> None:
    """Python's re needs longer than the universe for most of these; a linear matcher, milliseconds."""
    assert not picks(pattern, "a" * 20_000 + "!")


@settings(deadline=None)
@given(st.text(alphabet="ab()[]{}*+?|\\^$.-:d10,é\n\udcff", max_size=20), st.text(max_size=10))
def test_any_pattern_matches_or_is_refused(pattern: str, text: str) -> None:
    try:
        picks(pattern, text.encode("utf-8", "ignore").decode())
    except PatternError as error:
        assert str(error)


# -- against glibc, which is what Kamailio uses ------------------------------------------------------------

_EXTENDED, _ICASE, _NEWLINE = 1, 2, 4
_SIZE_OF_REGEX_T = 256  # 64 on x86-64; room to spare


@pytest.fixture
def c_locale() -> Iterator[None]:
    before = locale.setlocale(locale.LC_CTYPE)
    locale.setlocale(locale.LC_CTYPE, "C")
    yield
    locale.setlocale(locale.LC_CTYPE, before)


def _glibc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):
        pytest.skip("needs glibc's regcomp")
    return libc


_TOKENS = (
    *(
        "a",
        "b",
        "B",
        "z",
        "0",
        "_",
        "-",
        ".",
        "^",
        "$",
        "|",
        "(",
        ")",
        "*",
        "+",
        "?",
        "\n",
        "}",
        "]",
        "é",
        "\xff",
    ),
    *("[ab]", "[^a]", "[a-c]", "[]a]", "[^]a]", "[a-]", "[^\n]", "[\\d]", "[[:digit:]b]", "[[:upper:]]"),
    *("[A-z]", "[Z-a]", "[_-z]", "[9-a]", "[!-~]", "[z-~]", "[^z-~]", "[%--]", "[a-c-e]", "[[:alpha:]-z]"),
    *("[a-[:alpha:]]", "[[.a.]]", "[[.-.]-a]", "[\x80-\xff]", "[^é]", "[[:nope:]]", "[b-a]"),
    *("{2}", "{1,2}", "{0}", "{0,}", "{,2}", "{,}", "(a|b)", "(b)", "(a|)", "()", "a||b"),
    *("\\.", "\\(", "\\)", "\\{", "\\\\", "\\-", "\\0", "\\a", "\\A", "\\n", "\\d", "\\D", "\\é"),
    *(
        "\\w",
        "\\W",
        "\\s",
        "\\S",
        "\\b",
        "\\B",
        "\\`",
        "\\'",
        "\\<a",
        "b\\>",
        "\\<(a|_)",
        "(B|0)\\>",
        "\\<",
        "\\>",
    ),
)
_TEXTS = "abcABdDzZn01.-_(){}\\]\n^@`~é\xff "
#: What glibc takes and we do not.
_OURS_ALONE = (r"\<", r"\>")


def test_glibc_reads_all_patterns_alike(c_locale: None) -> None:
    """Every pattern that we take is taken there, means the same, and the other way round."""
    libc = _glibc()
    chance = random.Random(5)
    taken = refused = 0
    for _ in range(4000):
        pattern = "".join(chance.choices(_TOKENS, k=chance.randint(1, 6))).encode("latin-1")
        compiled = ctypes.create_string_buffer(_SIZE_OF_REGEX_T)
        failed = libc.regcomp(compiled, pattern, _EXTENDED | _ICASE | _NEWLINE) != 0
        try:
            matches = compile_pattern(MatchKind.REGEX, raw(pattern))
        except PatternError as error:
            assert failed or str(error).startswith(_OURS_ALONE), (pattern, str(error))
            refused += 1
        else:
            assert not failed, pattern
            for _ in range(12):
                text = "".join(chance.choices(_TEXTS, k=chance.randint(0, 6))).encode("latin-1")
                theirs = libc.regexec(compiled, text, 0, None, 0) == 0
                assert matches(raw(text)) is theirs, (pattern, text)
            taken += 1
        if not failed:
            libc.regfree(compiled)
    assert taken > 1500 and refused > 500


@pytest.mark.parametrize("pattern", [r"\d+", r"a\D", r"\n", r"\q"])
def test_perls_escapes_are_refused_where_a_client_of_ours_writes_them(pattern: str) -> None:
    """A Kamailio takes them, as something that nobody means."""
    compile_pattern(MatchKind.REGEX, pattern)
    with pytest.raises(PatternError, match="is not known; there are"):
        compile_pattern(MatchKind.REGEX, pattern, strict=True)
