"""Who is let in, and what is refused in which words."""

from __future__ import annotations

import json
from functools import partial

import pytest

from dmqcache.server.resp.command_table import execute
from dmqcache.server.resp.info import sections
from dmqcache.server.resp.permission import use
from dmqcache.server.resp.session import Session
from dmqcache.server.resp.users import make_users
from tests.server.fakes import FakeNode, make_session, unheard
from tests.server.resp.ruled import USERS, ruled
from tests.server.resp.saying import OK, say

NO_AUTH = "NOAUTH Authentication required."
WRONG = "WRONGPASS invalid username-password pair or user is disabled."
NO_KEY = "NOPERM this user has no permissions to access one of the keys used as arguments"


def no_command(name: str) -> str:
    return f"NOPERM this user has no permissions to run the '{name}' command"


UNFOLLOWED = "ERR this node does not follow registrations: it runs without --peer usrloc"


def test_without_a_password_everybody_may_do_everything() -> None:
    session = make_session()
    assert not session.limited
    assert say(session, "AUTH", "x").startswith("ERR AUTH <password> called without any password")
    assert say(session, "AUTH", "default", "whatever") == OK
    assert say(session, "AUTH", "bob", "x") == WRONG


def test_nothing_before_the_password() -> None:
    session = ruled("", password="secret")
    for command in (["GET", "a"], ["INFO"], ["CLIENT", "LIST"], ["COMMAND"], ["MULTI"], ["PING"]):
        assert say(session, *command) == NO_AUTH
    assert say(session, "NOPE").startswith("ERR unknown command")
    assert say(session, "HELLO", "3").startswith("NOAUTH HELLO must be called")
    assert say(session, "AUTH", "wrong") == WRONG
    assert say(session, "AUTH", "secret") == OK
    assert say(session, "GET", "a") is None
    assert not session.limited
    assert say(session, "RESET") == "RESET"
    assert say(session, "GET", "a") == NO_AUTH
    assert say(session, "HELLO", "2", "AUTH", "default", "secret", "SETNAME", "me")[1] == "redis"
    assert session.name == "me"


def test_what_is_refused_is_counted_for_the_metrics() -> None:
    session = ruled(name="app")
    refused = session.shared.node.bus.counters.refused_clients
    assert say(session, "AUTH", "admin", "nope") == WRONG
    assert refused == {"auth": 1}
    assert say(session, "AUTH", "nobody", "x") == WRONG
    assert say(session, "CONFIG", "GET", "*").startswith("NOPERM")
    assert refused == {"auth": 2, "command": 1}


def test_a_wrong_password_leaves_a_client_who_it_was() -> None:
    session = ruled(name="app")
    assert say(session, "AUTH", "admin", "nope") == WRONG
    assert say(session, "ACL", "WHOAMI") == "app"
    assert say(session, "AUTH", "admin", "top") == OK
    assert say(session, "ACL", "WHOAMI") == "admin"


@pytest.mark.parametrize(
    ("name", "line", "reply"),
    [
        ("app", "SET call-1 x", OK),
        ("app", "SET other x", NO_KEY),
        ("app", "MGET call-1 other", NO_KEY),
        ("app", "FLUSHDB", no_command("flushdb")),
        ("app", "CONFIG GET x", no_command("config|get")),
        ("app", "DMQ.SCAN 0", NO_KEY),
        ("app", "DMQ.MATCH prefix name call-", NO_KEY),
        ("app", "DMQ.CONTACTS", NO_KEY),
        ("app", "DMQ.CONTACTS alice", NO_KEY),
        ("app", "DMQ.CONTACTS call-1", NO_KEY),
        ("app", "DMQ.CALLS", NO_KEY),
        ("app", "DMQ.PRESENTITIES", NO_KEY),
        ("app", "DMQ.WATCHERS x", NO_KEY),
        ("reader", "DMQ.CONTACTS", UNFOLLOWED),
        ("calls", "DMQ.CONTACTS alice", "NOPERM this user has no permissions to access the table 'usrloc'"),
        ("calls", "DMQ.CALLS", "NOPERM this user has no permissions to access the table 'dialog'"),
        ("calls", "DMQ.WATCHERS", "NOPERM this user has no permissions to access the table 'presence'"),
        ("reader", "GET other", None),
        ("reader", "SET other x", no_command("set")),
        ("reader", "DMQ.REMOVE prefix name x", no_command("dmq.remove")),
        ("calls", "GET a", "NOPERM this user has no permissions to access the table 'cache'"),
        ("calls", "SELECT cache", "NOPERM this user has no permissions to access the table 'cache'"),
        ("calls", "SELECT 0", "NOPERM this user has no permissions to access the table 'cache'"),
        ("calls", "FLUSHALL", "NOPERM this user has no permissions to access the table 'cache'"),
        ("calls", "SELECT users", OK),
        ("calls", "PING", "PONG"),
    ],
)
def test_rules(name: str, line: str, reply: object) -> None:
    assert say(ruled(name=name), *line.split()) == reply


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("DMQ.CONTACTS", UNFOLLOWED),
        ("DMQ.CONTACTS alice", UNFOLLOWED),
        ("DMQ.CALLS", "NOPERM this user has no permissions to access the table 'dialog'"),
    ],
)
def test_who_may_read_the_contacts_keys_may_list_the_contacts(line: str, reply: str) -> None:
    session = ruled("user desk on nopass %R~usrloc:* +@read table=usrloc\n", name="desk")
    assert say(session, *line.split()) == reply


def test_the_list_of_tables_has_those_that_a_user_may_touch() -> None:
    def names(user: str) -> list[str]:
        return [row["table"] for row in json.loads(say(ruled(name=user), "DMQ.TABLES"))]

    assert names("reader") == ["cache", "users"] and names("calls") == ["users"]


def test_another_table_is_not_reached_by_a_detour() -> None:
    session = ruled(name="calls")
    say(session, "SELECT", "users")
    assert say(session, "SET", "a", "1") == OK
    for line in ("COPY a b DB cache", "COPY a b REPLACE db 0", "MOVE a 0"):
        assert "the table 'cache'" in say(session, *line.split())
    assert say(session, "COPY", "a", "b", "DB", "users") == 1


def test_a_command_that_is_refused_spoils_its_transaction() -> None:
    session = ruled(name="app")
    assert say(session, "MULTI") == OK
    assert say(session, "SET", "other", "1") == NO_KEY
    assert say(session, "EXEC").startswith("EXECABORT")
    assert session.shared.acl_log.entries[0].context == "multi"


def test_rules_that_change_before_exec_count_at_exec() -> None:
    session = ruled(name="app")
    say(session, "MULTI")
    assert say(session, "SET", "call-1", "1") == "QUEUED"
    session.become(session.shared.users.by_name["reader"])
    session.user = session.shared.users.by_name["reader"]
    reply = execute_as_app_may_exec(session)
    assert b"NOPERM ACLs rules changed between" in reply and b"no permission to execute the command" in reply


def execute_as_app_may_exec(session: Session) -> bytes:
    """EXEC itself is no command of the reader's: run what it would run."""
    session.executing = True
    reply = execute(session, ["SET", "call-1", "1"])
    assert isinstance(reply, bytes)
    return reply


def test_refusals_are_noted() -> None:
    session = ruled(name="app")
    for line in ("FLUSHDB", "flushdb", "GET other"):
        say(session, *line.split())
    say(session, "AUTH", "mallory", "x")
    noted = [(one.reason, one.object, one.username, one.count) for one in session.shared.acl_log.entries]
    stats = sections(session.shared)["Stats"]
    assert [stats[f"acl_access_denied_{name}"] for name in ("auth", "cmd", "key", "table")] == [1, 2, 1, 0]
    assert noted == [
        ("auth", "AUTH", "mallory", 1),
        ("key", "other", "app", 1),
        ("command", "flushdb", "app", 2),
    ]


def test_users_that_are_changed_or_gone_are_closed_and_the_others_stay() -> None:
    node = FakeNode()
    first = make_session(node)
    shared = first.shared
    shared.users = make_users(None, USERS)
    closed: list[str] = []
    names = ("admin", "app", "reader")
    sessions = {name: Session(shared, name, partial(closed.append, name), unheard) for name in names}
    for name, session in sessions.items():
        session.become(shared.users.by_name[name])
    shared.sessions = dict(enumerate(sessions.values()))
    without_app = USERS.replace("user app", "user other").replace("%R~*", "%R~x*")
    changed = use(shared, make_users(None, without_app))
    assert changed == [sessions["app"], sessions["reader"]]
    assert [name for name, one in sessions.items() if one.closing] == ["app", "reader"]
    assert say(sessions["admin"], "PING") == "PONG"


def test_a_full_node_refuses_what_needs_more_memory_and_nothing_else() -> None:
    node = FakeNode()
    session = make_session(node)
    say(session, "SET", "a", "x")
    assert not session.limited
    node.memory.fill(True)
    for words in (("SET", "a", "y"), ("INCR", "n"), ("APPEND", "a", "y"), ("MSET", "b", "1")):
        assert str(say(session, *words)) == "OOM command not allowed when used memory > 'maxmemory'."
    assert say(session, "GET", "a") == "x"
    assert say(session, "MULTI") == "OK"
    assert "OOM" in str(say(session, "SET", "a", "y"))
    assert "EXECABORT" in str(say(session, "EXEC"))
    assert say(session, "DEL", "a") == 1
    node.memory.fill(False)
    assert not session.limited
    assert say(session, "SET", "a", "y") == "OK"
