"""Words of a line, as Redis reads them."""

from __future__ import annotations

import pytest

from dmqcache.server.resp.inline import ProtocolError, split_line


def test_words_of_a_line() -> None:
    assert split_line(b"  a\tb 'c d' \"e\\t\\\\\" f'g h'  ") == ["a", "b", "c d", "e\t\\", "fg h"]
    assert split_line(b"") == []
    assert split_line(b"''") == [""]
    assert split_line(b'"\\x41\\n"') == ["A\n"]


@pytest.mark.parametrize("line", [b'GET "a', b"GET 'a'b", b"GET 'a"])
def test_quotes_that_do_not_end_are_said(line: bytes) -> None:
    with pytest.raises(ProtocolError, match="unbalanced quotes"):
        split_line(line)
