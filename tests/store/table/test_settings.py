"""Declarations of tables: every notation, and one clear line for every mistake."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmqcache.store.table.settings import (
    MAX_AUTOEXPIRE_S,
    MAX_INITVAL,
    MAX_SIZE,
    MAX_TABLE_NAME_LENGTH,
    MIN_INITVAL,
    MIN_SIZE,
    TableSettings,
)


def test_reads_kamailios_notation() -> None:
    declared = "users=>size=12;autoexpire=3600;initval=0;updateexpire=0;dmqreplicate=0"
    assert TableSettings.parse(declared) == TableSettings("users", 12, 3600, 0, False, False)


def test_a_bare_name_has_the_defaults() -> None:
    settings = TableSettings.parse("users")
    assert settings == TableSettings("users")
    assert (settings.autoexpire, settings.initval, settings.updateexpire) == (0, None, True)
    assert settings.dmqreplicate, "a table of a cache on a bus is replicated unless said otherwise"


def test_white_space_and_a_last_semicolon_do_not_matter() -> None:
    assert TableSettings.parse(" a => size = 8 ; autoexpire = 5 ; ") == TableSettings("a", 8, 5)


def test_reads_a_mapping_as_toml_gives_it() -> None:
    mapping = {"name": "users", "autoexpire": 60, "initval": -1, "dmqreplicate": False, "updateexpire": 1}
    assert TableSettings.parse(mapping) == TableSettings("users", None, 60, -1, True, False)


@given(
    st.builds(
        TableSettings,
        st.from_regex(r"[A-Za-z0-9_.:@+/-]{1,64}", fullmatch=True),
        st.none() | st.integers(MIN_SIZE, MAX_SIZE),
        st.integers(0, MAX_AUTOEXPIRE_S),
        st.none() | st.integers(MIN_INITVAL, MAX_INITVAL),
        st.booleans(),
        st.booleans(),
    )
)
def test_its_text_reads_back_the_same(settings: TableSettings) -> None:
    assert TableSettings.parse(str(settings)) == settings


def test_its_text_is_what_a_kamailio_takes() -> None:
    settings = TableSettings("users", 12, 3600, 0)
    assert str(settings) == "users=>size=12;autoexpire=3600;initval=0;updateexpire=1;dmqreplicate=1"


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        ("", "table name ''"),
        ("=>autoexpire=1", "table name ''"),
        ("two words", "letters, digits"),
        ('quo"te', "letters, digits"),
        ("ключ", "letters, digits"),
        ("x" * (MAX_TABLE_NAME_LENGTH + 1), "at most 64"),
        ("a=>", "nothing follows '=>'"),
        ("a=>autoexpire", "'autoexpire' is not written as field=value"),
        ("a=>autoexpire=", "autoexpire=: must be an integer from 0"),
        ("a=>autoexpire=-1", "must be an integer from 0"),
        ("a=>autoexpire=1.5", "must be an integer"),
        ("a=>autoexpire=" + "9" * 5000, "must be an integer"),
        ("a=>autoexpire=٣", "must be an integer"),
        ("a=>autoexpire=2147483648", "from 0 to 2147483647"),
        ("a=>autoexpire=1;autoexpire=1", "autoexpire is given twice"),
        ("a=>size=1", "size=1: must be an integer from 2 to 31"),
        ("a=>size=32", "from 2 to 31"),
        ("a=>initval=2147483648", "initval"),
        ("a=>updateexpire=2", "updateexpire=2: must be 0 or 1"),
        ("a=>dmqreplicate=yes", "must be 0 or 1"),
        ("a=>ttl=5", "unknown field 'ttl'; valid are size, autoexpire"),
        ({"autoexpire": 1}, "has no name"),
        ({"name": 5}, "table name 5"),
        ({"name": "a", "autoexpire": True}, "must be an integer"),
        ({"name": "a", "autoexpire": 1.0}, "must be an integer"),
        ({"name": "a", "autoexpire": [1]}, "must be an integer"),
        ({"name": "a", "dmqreplicate": [1]}, "must be 0 or 1"),
        ({"name": "a", "dmqreplicate": 2}, "must be 0 or 1"),
        ({"name": "a", 7: 2}, "unknown field '7'"),
        (5, "by a text or a mapping"),
        (None, "by a text or a mapping"),
    ],
)
def test_says_in_one_line_what_is_wrong(declared: Any, says: str) -> None:
    with pytest.raises(ValueError) as caught:
        TableSettings.parse(declared)
    text = str(caught.value)
    assert says in text
    assert "\n" not in text
    assert len(text) < 250


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        TableSettings.parse(text)
    except ValueError as error:
        assert "\n" not in str(error)
