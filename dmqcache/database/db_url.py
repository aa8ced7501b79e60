"""Where the database is: Kamailio's ``db_url``, which SQLAlchemy reads as well.

Owns what is understood, and that no password stands in it: that comes from a file or the environment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, parse_qsl, urlsplit

#: What follows ``sqlite:``: three slashes before the path, so four where it begins at the root.
SQLITE: Final = "sqlite:///"
#: By scheme, the name by which SQLAlchemy finds the driver of the extra ``[db]``.
DRIVERS: Final = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}
#: The drivers' options that are secrets: as a password, none stands in what the log shows.
SECRETS: Final = ("password", "passwd", "sslpassword", "ssl_key_password")
EXAMPLES: Final = (
    "sqlite:////var/lib/kamailio/kamailio.sqlite, postgres://kamailio@10.0.0.5/kamailio or mysql://..."
)


@dataclass(frozen=True, slots=True)
class DbUrl:
    """One database. As a text it is what an operator wrote; there is no password in it."""

    text: str
    #: The file of an SQLite database; empty: it is another one.
    path: str = ""
    #: The same for SQLAlchemy, with the driver.
    sqlalchemy: str = ""

    @classmethod
    def parse(cls, text: str) -> DbUrl:
        """ValueError in one line."""
        if text.startswith(SQLITE) and len(text) > len(SQLITE):
            return cls(text, path=text.removeprefix(SQLITE))
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            parts, port = SplitResult("", "", "", "", ""), None
        scheme, _, driver = parts.scheme.partition("+")
        if (
            scheme not in DRIVERS
            or not parts.path.strip("/")
            or (port is None and parts.netloc.endswith(":"))
        ):
            raise ValueError(f"is no database; write {EXAMPLES}")
        if parts.password is not None:
            raise ValueError("has a password in it; write that into a file and name it by db_password_file")
        for option, _ in parse_qsl(parts.query, keep_blank_values=True):
            if option.lower() in SECRETS:
                raise ValueError(
                    f"has a secret in it, {option}; a password is written into a file, named by "
                    "db_password_file, others where the driver reads them"
                )
        name = parts.scheme if driver else DRIVERS[scheme]
        return cls(text, sqlalchemy=name + text[len(parts.scheme) :])

    def __str__(self) -> str:
        return self.text
