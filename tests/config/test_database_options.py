"""The options of the database: Kamailio's names, and what does not go together."""

from __future__ import annotations

from pathlib import Path

import pytest

from dmqcache.config.config import ConfigError, load
from dmqcache.config.database_options import DATABASE_OPTIONS
from dmqcache.database.layout import Columns


def test_each_of_the_layouts_parameters_is_an_option_with_the_same_default() -> None:
    config = load()
    assert Columns(*(getattr(config, name) for name in Columns.__slots__)) == Columns()
    assert set(Columns.__slots__) | {"db_url", "db_password_file"} == {one.name for one in DATABASE_OPTIONS}


def test_they_come_from_a_file_and_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('db_url = "sqlite:////k.db"\ndb_expires = true\ntable = ["a=>dbtable=h;cols=\'k,v\'"]\n')
    config = load(file)
    assert (str(config.db_url), config.db_expires) == ("sqlite:////k.db", True)
    assert config.tables[0].db is not None and config.tables[0].db.cols == ("k", "v")
    environ = {
        "DMQCACHE_DB_URL": "mysql://u@h/d",
        "DMQCACHE_DB_PASSWORD": "planted-secret",
        "DMQCACHE_TABLE": "a=>dbtable=h;cols='k,v' b",
    }
    config = load(environ=environ)
    assert [table.name for table in config.tables] == ["a", "b"]
    assert config.db_password is not None and config.db_password.read() == "planted-secret"
    assert "planted-secret" not in repr(config)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"table": "a=>dbtable=h"}, "table 'a' has a dbtable, and there is no database: add db_url"),
        ({"db_url": "oracle://h/d"}, "--db-url: the text is no database"),
        ({"db_url": "sqlite:////k", "expires_column": 'a"b'}, "expires_column"),
        ({"fetch_rows": "0"}, "less than the least"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(flags: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(flags=flags)
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_a_password_in_the_url_is_not_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        load(flags={"db_url": "mysql://kamailio:planted@h/d"})
    assert "planted" not in str(caught.value)
