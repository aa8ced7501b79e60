"""Who may come in, by a node's configuration."""

from __future__ import annotations

import platform
import re
from pathlib import Path

import pytest

from dmqcache.client_doors import doors_of, http_doors_of, read_users, tls_of
from dmqcache.config.config import ConfigError, load
from dmqcache.server.resp.acl import to_end

PAGE = Path(__file__).parents[1] / "docs" / "operations.md"


def test_without_anything_only_this_machine() -> None:
    doors = doors_of(load())
    assert to_end(doors.users()).open and doors.protected and not doors.from_file and doors.path is None
    assert not doors_of(load(flags={"allow_open": True})).protected


def test_a_password_and_a_file_of_users(tmp_path: Path) -> None:
    password, users = tmp_path / "password", tmp_path / "users"
    password.write_text("secret\n")
    users.write_text("user app on >app ~call-* +@read\n")
    flags = {"client_password_file": str(password), "client_acl_file": str(users), "client_socket": "s"}
    doors = doors_of(load(flags=flags))
    assert doors.from_file and doors.path == Path("s")
    found = to_end(doors.users())
    assert found.log_in("default", "secret") and found.log_in("app", "app")
    password.write_text("other\n")
    assert to_end(doors.users()).log_in("default", "other"), "files are read anew each time"


def test_the_pages_example_of_a_file_of_users_is_taken_as_it_stands(tmp_path: Path) -> None:
    found = re.search(
        r"^```\n(user .*?)^```$\n\nThe passwords are (.*?):", PAGE.read_text("utf-8"), re.M | re.S
    )
    assert found is not None
    users = tmp_path / "users.acl"
    users.write_text(found[1])
    known = read_users(load(flags={"client_acl_file": str(users)}))
    passwords = re.findall(r"`(.*?)`", found[2])
    for name, password in zip(("admin", "app", "graphs"), passwords, strict=True):
        assert known.log_in(name, password), name


def test_what_is_wrong_is_one_line_that_names_the_file(tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text("user app on >hunter2 nonsense\n")
    with pytest.raises(
        ConfigError, match=f"^client_acl_file {users}: line 1: user app: a word that begins with 'n'"
    ) as caught:
        read_users(load(flags={"client_acl_file": str(users)}))
    assert "hunter2" not in str(caught.value)
    with pytest.raises(ConfigError, match=f"^client_password_file {tmp_path / 'none'}: No such"):
        read_users(load(flags={"client_password_file": str(tmp_path / "none")}))


def test_http_goes_by_the_names_of_the_machine_and_those_that_are_given(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    flags = {
        "http_token_file": str(token),
        "http_protect": "rpc",
        "http_host": ["Cache.Example:9180", "other"],
    }
    doors = http_doors_of(load(flags=flags | {"http_address": "node.example:9180"}))
    own = platform.node().lower()
    assert {own, "cache.example", "other", "node.example"} <= doors.names and "" not in doors.names
    assert (doors.token(), doors.protect, doors.open, doors.tls) == ("s3cret", "rpc", False, None)
    assert http_doors_of(load()).token() is None


def test_no_certificate_is_read_where_nothing_speaks_tls() -> None:
    files = {"client_tls_certificate": "none.pem", "client_tls_key": "none.pem"}
    assert tls_of(load(flags=files), lambda expires: None) is None
    with pytest.raises(OSError, match=r"^client_tls_certificate none\.pem: No such file"):
        tls_of(load(flags=files | {"http_tls": True}), lambda expires: None)
    bus = {name.removeprefix("client_"): "none.pem" for name in files} | {"tls_ca": "none.pem"}
    with pytest.raises(OSError, match=r"^tls_certificate none\.pem: No such file"):
        tls_of(load(flags=bus | {"http_tls": True}), lambda expires: None)
