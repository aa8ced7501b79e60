"""The fields of a declaration that concern its database."""

from __future__ import annotations

from typing import Any

import pytest

from dmqcache.store.table.db_fields import DbFields
from dmqcache.store.table.settings import TableSettings


def test_kamailios_notation_is_read() -> None:
    declared = "a=>size=8;dbtable=htable;autoexpire=5;dbmode=1;cols='key,value';coldelim=';';colnull='';"
    settings = TableSettings.parse(declared)
    assert settings.autoexpire == 5
    assert settings.db == DbFields("htable", True, ("key", "value"), ";", "")
    assert TableSettings.parse('b=>dbtable="public.b"').db == DbFields("public.b")
    assert TableSettings.parse({"name": "a", "dbtable": "h", "cols": ["k", "v"]}).db == DbFields(
        "h", cols=("k", "v")
    )


def test_without_a_dbtable_there_is_no_database() -> None:
    assert TableSettings.parse("a").db is None
    assert TableSettings.parse("a=>dbtable=").db is None
    assert TableSettings.parse("a=>dbmode=0").db is None


def test_its_text_reads_back_the_same() -> None:
    for fields in (DbFields("h"), DbFields("h", True, ("a", "b", "c"), "|", ""), DbFields("h", colnull="-")):
        assert TableSettings.parse(f"a=>{fields}").db == fields


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        ("a=>dbmode=1", "dbmode without a dbtable"),
        ("a=>cols='a,b'", "cols without a dbtable"),
        ("a=>dbtable=x y", "dbtable=x y: use letters"),
        ("a=>dbtable=h;dbmode=2", "dbmode=2: must be 0 or 1"),
        ("a=>dbtable=h;cols='a'", "cols=a: must be at least two columns"),
        ("a=>dbtable=h;cols=''", "must be at least two columns"),
        ("a=>dbtable=h;cols='a,b c'", "must be at least two columns"),
        ("a=>dbtable=h;coldelim=ab", "coldelim=ab: must be one character"),
        ("a=>dbtable=h;colnull=ab", "colnull=ab: must be one character, or empty"),
        ("a=>dbtable=h;cols='a,b", "quotation mark"),
        ({"name": "a", "dbtable": 5}, "dbtable=5"),
        ({"name": "a", "dbtable": "h", "cols": 5}, "cols=5"),
    ],
)
def test_says_in_one_line_what_is_wrong(declared: Any, says: str) -> None:
    with pytest.raises(ValueError) as caught:
        TableSettings.parse(declared)
    assert says in str(caught.value) and "\n" not in str(caught.value)
