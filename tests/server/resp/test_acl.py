"""Users and their rules: who is let in, who may do what, and what is said of rules that are none."""

from __future__ import annotations

import hashlib

import pytest

from dmqcache.server.resp.acl import (
    MAX_RULES,
    AclError,
    User,
    Users,
    Wanted,
    everything,
    hashed,
    read_users,
    with_rules,
)

KNOWN = {
    "get": frozenset({"read", "fast"}),
    "set": frozenset({"write", "slow"}),
    "flushdb": frozenset({"write", "dangerous"}),
    "client": frozenset({"connection"}),
    "client|list": frozenset({"connection"}),
    "client|kill": frozenset({"connection"}),
}
GET = Wanted("get", KNOWN["get"], [("call-1", "r")], ["calls"])
SET = Wanted("set", KNOWN["set"], [("call-1", "w")], ["calls"])
FLUSH = Wanted("flushdb", KNOWN["flushdb"], (), ["calls"])
TYPE = Wanted("get", KNOWN["get"], [("call-1", "")], ["calls"])
SWAP = Wanted("set", KNOWN["set"], [("call-1", "rw")], ["calls"])
DUMP = Wanted("get", KNOWN["get"], (), ["calls"], whole="r")


def user(rules: str) -> User:
    return with_rules(User("alice"), rules.split(), KNOWN)


@pytest.mark.parametrize(
    ("rules", "wanted", "refusal"),
    [
        ("allkeys", GET, "command"),
        ("+@all ~*", GET, None),
        ("+@all", GET, "key"),
        ("+@read ~*", GET, None),
        ("+@read ~*", SET, "command"),
        ("+@write -flushdb ~*", FLUSH, "command"),
        ("+@write -flushdb ~*", SET, None),
        ("-flushdb +@write ~*", FLUSH, None),
        ("+@all -@dangerous ~*", FLUSH, "command"),
        ("+get ~call-*", GET, None),
        ("+get ~other-*", GET, "key"),
        ("+get ~other-* ~call-?", GET, None),
        ("+@all %R~*", GET, None),
        ("+@all %R~*", SET, "key"),
        ("+@all %W~*", SET, None),
        ("+@all %RW~*", SET, None),
        ("+@all ~* table=users", GET, "table"),
        ("+@all ~* table=users table=calls", GET, None),
        ("+@all ~* table=users alltables", GET, None),
        ("+@all ~* resettables", GET, "table"),
        ("+@all ~* resetkeys", GET, "key"),
        ("+@all ~* nocommands", GET, "command"),
        ("+@all ~* reset", GET, "command"),
        ("+GET ~*", GET, None),
        ("+@all %R~*", SWAP, "key"),
        ("+@all %R~* %W~*", SWAP, "key"),
        ("+@all ~call-*", SWAP, None),
        ("+@all %W~*", TYPE, None),
        ("+@all ~other-*", TYPE, "key"),
        ("+@all %R~*", DUMP, None),
        ("+@all %W~*", DUMP, "key"),
        ("+@all ~call-*", DUMP, "key"),
        ("allcommands allkeys", FLUSH, None),
    ],
)
def test_the_last_rule_that_fits_decides(rules: str, wanted: Wanted, refusal: str | None) -> None:
    refused = user(rules).refusal(wanted)
    assert (refused.reason if refused else None) == refusal


def test_every_key_of_a_command_must_be_allowed() -> None:
    both = Wanted("get", KNOWN["get"], [("call-1", "r"), ("other", "r")], ["calls"])
    assert user("+@all ~call-*").refusal(both) == ("key", "other")


def test_a_subcommand_has_rules_of_its_own() -> None:
    kill = Wanted("client|kill", KNOWN["client"])
    assert user("+@all -client|kill").refusal(kill) == ("command", "client|kill")
    assert user("-@all +client").refusal(kill) is None
    assert user("-@all +client|list").refusal(kill) == ("command", "client|kill")


def test_a_user_is_let_in_by_his_passwords_while_he_is_on() -> None:
    alice = user("on >one >two")
    assert alice.fits("one")
    assert alice.fits("two")
    assert not alice.fits("three")
    assert not user("off >one").fits("one")
    assert not user("on").fits("")
    assert user("on nopass").fits("anything")
    assert not user("on nopass resetpass").fits("anything")
    assert not user("on nopass >one").fits("anything")
    assert not user("on >one <one").fits("one")


def test_passwords_are_kept_as_redis_keeps_them() -> None:
    digest = hashlib.sha256(b"one").hexdigest()
    assert hashed("one") == digest
    assert user(f"on #{digest}").fits("one")
    assert not user(f"on #{digest} !{digest}").fits("one")


def test_no_text_shows_a_password() -> None:
    alice = user("on >hunter2")
    assert "hunter2" not in alice.describe()
    assert "passwords" not in repr(alice)
    with pytest.raises(AclError) as caught:
        user("on hunter2")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ("+nonsense", "unknown command 'nonsense'"),
        ("+client|nonsense", "unknown command 'client.nonsense'"),
        ("+@nonsense", "unknown category '@nonsense'"),
        ("nonsense", "is no rule"),
        ("~", "is no rule"),
        ("%X~a", "is no rule"),
        ("<never", "no such password"),
        ("#abc", "is no rule"),
        ("~" + "x" * 5000, "4096 characters"),
        (" ".join(["on"] * (MAX_RULES + 1)), "are the most"),
    ],
)
def test_what_is_no_rule_is_said(rules: str, says: str) -> None:
    with pytest.raises(AclError, match=says):
        user(rules)


def test_a_user_is_described_in_the_words_of_his_rules() -> None:
    text = user("on >one ~call-* %R~* table=calls &news +@read -get").describe()
    keys = "~call-* %R~* resettables table=calls"
    assert text == f"user alice on #{hashed('one')} {keys} &news -@all +@read -get"
    again = with_rules(User("alice"), text.split()[2:], KNOWN)
    assert again == user("on >one ~call-* %R~* table=calls &news +@read -get")
    assert everything().describe() == "user default on nopass ~* &* +@all"


def test_who_may_do_everything_is_not_asked_each_time() -> None:
    assert everything().unlimited
    assert user("on >one allkeys allcommands allchannels").unlimited
    for rules in ("~* &* +@all -get", "%R~* &* +@all", "~* +@all", "~* &* +@all table=calls", "~a &* +@all"):
        assert not user(f"on >one {rules}").unlimited


def test_without_users_everybody_may_do_everything() -> None:
    users = Users()
    assert users.open
    assert users.by_name["default"] == everything()
    assert everything().refusal(FLUSH) is None


def test_users_log_in_by_name_and_password() -> None:
    users = Users([user("on >one +@all ~*")])
    found = users.log_in("alice", "one")
    assert found is not None and found.name == "alice"
    assert users.log_in("alice", "two") is None
    assert users.log_in("bob", "one") is None


def test_a_file_of_users_is_read_as_redis_reads_it() -> None:
    users = read_users("# ours\nuser default off\n\nuser alice on >one ~* &* +@all\n", KNOWN)
    assert not users.open
    assert set(users.by_name) == {"default", "alice"}
    assert users.log_in("alice", "one") is not None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("alice on", "line 1: it begins with 'user NAME'"),
        ("user", "line 1: it begins"),
        ("user a on\nuser a on", "line 2: the user stands twice"),
        ("\nuser a +nonsense", "line 2: unknown command"),
        (f"user {'x' * 200}", "line 1: a long name"),
        ("", "no user stands in it"),
        ("# user a on\n\n", "no user stands in it"),
        ("user a on #0d...", "line 1: .* that begins with '#' is no rule; after it come 64 hex digits"),
        (f"user a on #{'AB' * 32}", "64 hex digits in small letters"),
    ],
)
def test_what_is_wrong_in_a_file_of_users_is_said_with_its_line(text: str, says: str) -> None:
    with pytest.raises(AclError, match=says):
        read_users(text, KNOWN)


def test_who_may_not_read_a_key_does_not_hear_of_it() -> None:
    rules = ["on", "nopass", "%R~call-*", "%W~secret-*", "table=calls"]
    user = with_rules(User("graphs"), rules, KNOWN)
    assert user.may_hear("calls", "call-1")
    assert user.may_hear("calls", "")
    assert not user.may_hear("calls", "secret-1")
    assert not user.may_hear("users", "call-1")
    assert not user.may_hear("users", "")
