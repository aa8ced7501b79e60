"""Where a database is: Kamailio's notation, and one line for what is none."""

from __future__ import annotations

import pytest

from dmqcache.database.db_url import DbUrl


@pytest.mark.parametrize(
    ("text", "path", "sqlalchemy"),
    [
        ("sqlite:////var/lib/k.sqlite", "/var/lib/k.sqlite", ""),
        ("sqlite:///k.sqlite", "k.sqlite", ""),
        ("postgres://kamailio@10.0.0.5/kamailio", "", "postgresql+psycopg://kamailio@10.0.0.5/kamailio"),
        ("postgresql://h:5433/db", "", "postgresql+psycopg://h:5433/db"),
        ("mysql://kamailio@localhost/kamailio", "", "mysql+pymysql://kamailio@localhost/kamailio"),
        ("mariadb://h/db", "", "mariadb+pymysql://h/db"),
        ("postgresql+psycopg2://h/db?sslmode=require", "", "postgresql+psycopg2://h/db?sslmode=require"),
    ],
)
def test_kamailios_urls_are_understood(text: str, path: str, sqlalchemy: str) -> None:
    url = DbUrl.parse(text)
    assert (url.path, url.sqlalchemy, str(url)) == (path, sqlalchemy, text)


@pytest.mark.parametrize(
    "text",
    ["", "sqlite:///", "sqlite:/k.db", "oracle://h/db", "/var/lib/k.db", "postgres://h", "mysql://h:x/d"],
)
def test_what_is_no_database_is_said_in_one_line(text: str) -> None:
    with pytest.raises(ValueError, match="is no database; write sqlite:////var"):
        DbUrl.parse(text)


def test_a_password_in_it_is_refused_and_not_repeated() -> None:
    with pytest.raises(ValueError, match="db_password_file") as caught:
        DbUrl.parse("mysql://kamailio:kamailiorw@localhost/kamailio")
    assert "kamailiorw" not in str(caught.value)


@pytest.mark.parametrize(
    "option", ["password", "passwd", "sslpassword", "PASSWORD", "connect_timeout=3&password", "p%61ssword"]
)
def test_a_secret_among_the_options_is_refused_and_not_repeated(option: str) -> None:
    with pytest.raises(ValueError, match="has a secret in it") as caught:
        DbUrl.parse(f"postgres://kamailio@localhost/kamailio?{option}=kamailiorw")
    assert "kamailiorw" not in str(caught.value)
