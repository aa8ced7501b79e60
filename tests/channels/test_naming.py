"""Names of channels and content types: nothing that could end a header gets through."""

from __future__ import annotations

import pytest

from dmqcache.channels.naming import TEXT, parse_channel


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("alerts", ("alerts", TEXT)),
        ("a.b-c_9=application/json", ("a.b-c_9", "application/json")),
        ("a=text/plain;charset=utf-8", ("a", "text/plain;charset=utf-8")),
    ],
)
def test_a_channel_has_a_name_and_a_type(text: str, expected: tuple[str, str]) -> None:
    assert parse_channel(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "a b", "a\r\n", "x" * 65, "\u00e9", "a@b", "a=", "a=text", "a=text/plain\r\nFrom: x", "a=b/c/d"],
)
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no c"):
        parse_channel(text)
