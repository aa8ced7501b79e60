"""What a session is when it is new, and again after RESET."""

from __future__ import annotations

from dmqcache.server.resp.session import Session, Transaction
from tests.server.fakes import FakeNode, make_session, stay_open, unheard
from tests.server.resp.ruled import ruled


def test_a_reset_session_is_as_a_new_one() -> None:
    session = make_session()
    session.name, session.resp3, session.transaction = "me", True, Transaction()
    assert session.select("users")
    session.reset()
    assert (session.name, session.resp3, session.table_name) == ("", False, "cache")
    assert session.transaction is None


def test_numbers_are_given_in_turn() -> None:
    session = make_session()
    assert Session(session.shared, "", stay_open, unheard).id == session.id + 1


def test_a_table_is_chosen_by_name_before_number() -> None:
    session = make_session(FakeNode("cache", "0", "users"))
    assert session.select("0") and session.table_name == "0"
    assert session.select("2") and (session.table_name, session.index) == ("users", 2)
    for wrong in ("3", "-1", "02", "+1", "nope", ""):
        assert not session.select(wrong), wrong
    assert session.table_name == "users"


def test_who_is_restricted_hears_of_what_he_may_read() -> None:
    session = ruled(name="reader")
    assert not session.hears_all and session.may_hear("cache", "x")
    session.become(session.shared.users.by_name["app"])
    assert session.may_hear("cache", "call-1") and not session.may_hear("cache", "x")
    session.become(session.shared.users.by_name["admin"])
    assert session.hears_all
    session.become(session.shared.users.by_name["app"], authenticated=False)
    assert not session.may_hear("cache", "call-1")
