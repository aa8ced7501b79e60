"""Users from a password and a file."""

from __future__ import annotations

import pytest

from dmqcache.server.resp.acl import AclError
from dmqcache.server.resp.users import make_users


def test_without_anything_everybody_is_let_in() -> None:
    assert make_users().open


def test_a_password_is_that_of_the_default_user() -> None:
    users = make_users("secret")
    assert not users.open
    assert users.log_in("default", "secret") == users.default
    assert users.log_in("default", "other") is None
    assert users.default.unlimited


def test_a_file_names_users_and_a_password_the_default_one() -> None:
    users = make_users("secret", "user app on >app ~call-* +@read -config|get")
    assert users.log_in("default", "secret") is not None
    assert users.log_in("app", "app") is not None
    with pytest.raises(AclError, match="'default' has rules there and a password of its own"):
        make_users("secret", "user default on >other ~* +@all")


def test_a_rule_about_a_command_that_is_not_here_is_a_mistake() -> None:
    with pytest.raises(AclError, match=r"line 1: unknown command 'config\|nope'"):
        make_users(None, "user app -config|nope")
