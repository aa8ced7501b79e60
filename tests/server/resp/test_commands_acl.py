"""The ACL commands."""

from __future__ import annotations

from collections.abc import Generator

from dmqcache.server.resp.acl import CATEGORIES, hashed
from tests.server.fakes import make_session
from tests.server.resp.ruled import ruled
from tests.server.resp.saying import OK, say


def test_the_users_and_their_rules() -> None:
    session = ruled(name="admin")
    assert say(session, "ACL", "WHOAMI") == "admin"
    assert say(session, "ACL", "USERS") == ["admin", "app", "calls", "default", "reader"]
    lines = say(session, "ACL", "LIST")
    assert lines[0] == f"user admin on #{hashed('top')} ~* &* +@all"
    assert lines[2] == f"user calls on #{hashed('app')} ~* resettables table=users resetchannels +@all"
    assert say(session, "ACL", "GETUSER", "reader") == [
        "flags",
        ["on"],
        "passwords",
        [hashed("app")],
        "commands",
        "-@all +@read +@connection",
        "keys",
        "%R~*",
        "channels",
        "",
        "selectors",
        [],
    ]
    assert say(session, "ACL", "GETUSER", "nobody") is None
    assert say(make_session(), "ACL", "LIST") == ["user default on nopass ~* &* +@all"]


def test_categories_and_their_commands() -> None:
    session = make_session()
    assert say(session, "ACL", "CAT") == list(CATEGORIES)
    assert {"get", "mget", "ttl"} <= set(say(session, "ACL", "CAT", "Read"))
    assert "client|kill" in say(session, "ACL", "CAT", "admin")
    assert say(session, "ACL", "CAT", "hash") == []
    assert say(session, "ACL", "CAT", "nope") == "ERR Unknown category 'nope'"


def test_a_dry_run_changes_and_notes_nothing() -> None:
    session = ruled(name="admin")
    assert say(session, "ACL", "DRYRUN", "app", "SET", "call-1", "x") == OK
    assert session.table.get("call-1") is None
    said = say(session, "ACL", "DRYRUN", "app", "SET", "other", "x")
    assert said == "This user has no permissions to access the 'other' key"
    said = say(session, "ACL", "DRYRUN", "app", "config", "get", "x")
    assert said == "This user has no permissions to run the 'config|get' command"
    assert say(session, "ACL", "DRYRUN", "bob", "GET", "x") == "ERR User 'bob' not found"
    assert say(session, "ACL", "DRYRUN", "app", "NOPE", "x") == "ERR Command 'NOPE' not found"
    assert say(session, "ACL", "DRYRUN", "app", "GET").startswith("ERR wrong number of arguments")
    assert not session.shared.acl_log.entries


def test_the_log_shows_refusals_and_can_be_emptied() -> None:
    session = ruled(name="reader")
    say(session, "SET", "a", "1")
    say(session, "DEL", "a")
    session.become(session.shared.users.by_name["admin"])
    shown = say(session, "ACL", "LOG", "1")
    assert len(shown) == 1
    assert shown[0][:10] == [
        "count",
        1,
        "reason",
        "command",
        "context",
        "toplevel",
        "object",
        "del",
        "username",
        "reader",
    ]
    assert len(say(session, "ACL", "LOG")) == 2
    assert say(session, "ACL", "LOG", "x") == "ERR value is not an integer or out of range"
    assert say(session, "ACL", "LOG", "reset") == OK
    assert say(session, "ACL", "LOG") == []


def test_users_are_read_again_from_their_file() -> None:
    session = make_session()
    assert "--client-acl-file" in say(session, "ACL", "LOAD")
    loaded = []

    def load() -> Generator[None, None, None]:
        yield
        loaded.append(True)

    session.shared.load_users = load
    assert say(session, "ACL", "LOAD") == OK
    assert loaded == [True]


def test_only_who_may_is_told_of_users() -> None:
    session = ruled(name="app")
    assert say(session, "ACL", "WHOAMI") == "app"
    assert say(session, "ACL", "LIST") == "NOPERM this user has no permissions to run the 'acl|list' command"
