"""Values as bytes, in both versions of the protocol."""

from __future__ import annotations

import hiredis
import pytest

from dmqcache.server.resp import reply as resp

CASES = [
    (None, b"$-1\r\n", b"_\r\n"),
    (True, b":1\r\n", b"#t\r\n"),
    (False, b":0\r\n", b"#f\r\n"),
    (-7, b":-7\r\n", b":-7\r\n"),
    (1.5, b"$3\r\n1.5\r\n", b",1.5\r\n"),
    ("", b"$0\r\n\r\n", b"$0\r\n\r\n"),
    ("ä", b"$2\r\n\xc3\xa4\r\n", b"$2\r\n\xc3\xa4\r\n"),
    ("\udcff\0", b"$2\r\n\xff\0\r\n", b"$2\r\n\xff\0\r\n"),
    ([1, "a", None], b"*3\r\n:1\r\n$1\r\na\r\n$-1\r\n", b"*3\r\n:1\r\n$1\r\na\r\n_\r\n"),
    ({"a": 1}, b"*2\r\n$1\r\na\r\n:1\r\n", b"%1\r\n$1\r\na\r\n:1\r\n"),
    ([], b"*0\r\n", b"*0\r\n"),
    (b"+RAW\r\n", b"+RAW\r\n", b"+RAW\r\n"),
]


@pytest.mark.parametrize(("value", "resp2", "resp3"), CASES)
def test_a_value_in_both_versions(value: object, resp2: bytes, resp3: bytes) -> None:
    assert resp.encode(value, False) == resp2
    assert resp.encode(value, True) == resp3


@pytest.mark.parametrize("resp3", [False, True])
def test_an_independent_reader_reads_what_is_written(resp3: bool) -> None:
    value = {"list": ["a", 1, None, [True]], "map": {"x": "y"}}
    reader = hiredis.Reader(encoding="utf-8")
    reader.feed(resp.encode(value, resp3))
    expected = value if resp3 else ["list", ["a", 1, None, [1]], "map", ["x", "y"]]
    assert reader.gets() == expected
    assert not reader.has_data()


def test_integers_of_a_table_are_read_as_text() -> None:
    assert resp.bulk(-12) == b"$3\r\n-12\r\n"
    assert resp.bulks(["a", 5]) == b"*2\r\n$1\r\na\r\n$1\r\n5\r\n"


def test_an_error_is_one_line_whatever_it_tells_of() -> None:
    assert resp.error("ERR bad \r\n+OK\r\n \udcff") == b"-ERR bad   +OK   \xff\r\n"
