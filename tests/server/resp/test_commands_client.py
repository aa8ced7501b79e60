"""CLIENT: names, lists, filters."""

from __future__ import annotations

from dmqcache.server.resp.session import Session
from tests.server.fakes import make_session, stay_open, unheard
from tests.server.resp.saying import OK, hold, say


def test_names_and_libraries() -> None:
    hold(
        [
            ("CLIENT SETNAME me", OK),
            ("CLIENT SETINFO LIB-NAME lib", OK),
            ("CLIENT SETINFO LIB-VER 5", OK),
            (
                "CLIENT INFO",
                "id=1 addr=127.0.0.1:1 name=me age=0 db=0 table=cache sub=0 psub=0 user=default "
                "resp=2 lib-name=lib lib-ver=5\n",
            ),
            ("CLIENT REPLY x", "ERR syntax error"),
        ]
    )


def test_the_list_may_be_filtered() -> None:
    session = make_session()
    other = Session(session.shared, "127.0.0.1:2", stay_open, unheard)
    session.shared.sessions[other.id] = other
    assert say(session, "CLIENT", "LIST").count("\n") == 2
    assert say(session, "CLIENT", "LIST", "ID", "2", "99").startswith("id=2 addr=127.0.0.1:2 ")
    assert say(session, "CLIENT", "LIST", "TYPE", "normal").count("\n") == 2
    assert say(session, "CLIENT", "LIST", "TYPE", "replica") == ""
    assert say(session, "CLIENT", "LIST", "TYPE", "bogus") == "ERR Unknown client type 'bogus'"
    assert say(session, "CLIENT", "LIST", "ID") == "ERR syntax error"
    assert say(session, "CLIENT", "LIST", "ID", "x") == "ERR Invalid client ID"
