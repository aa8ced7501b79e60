"""The options of the servers: safe unless somebody says otherwise."""

from __future__ import annotations

from dmqcache.config.server_options import SERVER_OPTIONS

BY_NAME = {option.name: option for option in SERVER_OPTIONS}


def test_servers_are_on_loopback_and_open_to_nobody_else() -> None:
    for name in ("client_address", "http_address"):
        assert BY_NAME[name].default.startswith("127.0.0.1:")
    assert BY_NAME["client_tls_address"].default == "off"
    assert BY_NAME["allow_open"].default == "no"


def test_no_option_takes_a_secret_itself() -> None:
    secret = [option for option in SERVER_OPTIONS if "password" in option.name or "token" in option.name]
    assert secret
    for option in secret:
        assert option.kind == "secret" and option.name.endswith("_file")
