"""What an option says of itself: its flag, its variables, its help."""

from __future__ import annotations

from dmqcache.config.option import Option


def test_names_in_each_place() -> None:
    option = Option("client_password_file", "secret", "", "A password.", field="client_password")
    assert option.flag == "--client-password-file"
    assert option.variable == "DMQCACHE_CLIENT_PASSWORD_FILE"
    assert option.secret_variable == "DMQCACHE_CLIENT_PASSWORD"
    assert option.attribute == "client_password"
    assert option.full_help == "A password. (or the text itself in DMQCACHE_CLIENT_PASSWORD; default: none)"


def test_the_help_has_unit_choices_and_default() -> None:
    option = Option("t1", "choice", "a", "Help.", unit="seconds", choices=("a", "b"), repeat=True)
    assert option.full_help == "Help. (unit: seconds; one of: a, b; default: a; may be repeated)"
    assert option.attribute == "t1"
