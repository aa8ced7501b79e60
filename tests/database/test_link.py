"""What a driver says becomes one line."""

from __future__ import annotations

from dmqcache.database.link import DatabaseError, WrongDatabase, one_line


def test_a_driver_s_words_are_one_line() -> None:
    assert one_line(ValueError("connection refused\n\tIs the server\nrunning?")) == (
        "connection refused Is the server running?"
    )
    assert len(one_line(ValueError("x" * 1000))) == 300
    assert one_line(ValueError()) == "ValueError"


def test_what_must_be_changed_is_a_failure_too() -> None:
    assert issubclass(WrongDatabase, DatabaseError)
