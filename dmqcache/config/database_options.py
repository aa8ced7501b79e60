"""The options of the database that tables are loaded from and stored in: parameters of Kamailio's htable, by
their names. Part of ``options.py``.
"""

from __future__ import annotations

from dmqcache.config.option import Option

DATABASE_OPTIONS: tuple[Option, ...] = (
    Option(
        "db_url",
        "database",
        "",
        "The database of the tables that are declared with dbtable, as Kamailio writes it, without the "
        "password: sqlite:////var/lib/kamailio/kamailio.sqlite, postgres://kamailio@10.0.0.5/kamailio, "
        "mysql://... (all but SQLite: pip install 'dmqcache[db]').",
        optional=True,
    ),
    Option(
        "db_password_file",
        "secret",
        "",
        "A file whose first line is the password of the database.",
        field="db_password",
        optional=True,
    ),
    Option("key_name_column", "word", "key_name", "The column of the keys' names."),
    Option("key_type_column", "word", "key_type", "The column with 1 where a row is part of an array."),
    Option("value_type_column", "word", "value_type", "The column with 1 where a value is an integer."),
    Option("key_value_column", "word", "key_value", "The column of the values."),
    Option("expires_column", "word", "expires", "The column of the expiry, in Unix seconds."),
    Option(
        "array_size_suffix",
        "word",
        "::size",
        "What is put after an array's name to make the key of its number of values.",
    ),
    Option(
        "fetch_rows",
        "integer",
        "1000",
        "How many rows are read from the database at once. Higher: fewer ways to it, more memory.",
        unit="rows",
        minimum=1,
        maximum=10_000,
    ),
    Option(
        "db_expires",
        "switch",
        "no",
        "Whether times to live are loaded from the database and stored in it. Without it a loaded cell has "
        "its table's autoexpire.",
    ),
)
