"""The unix socket: who may connect, and whose it is."""

from __future__ import annotations

import os
import socket
import stat
from contextlib import closing
from pathlib import Path

import pytest

from dmqcache.server.resp.local_socket import bind, is_local


def test_only_its_user_may_connect(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with closing(bind(tmp_path / "s")):
            assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o600
            assert os.umask(0) == 0
    finally:
        os.umask(before)


def test_the_socket_of_a_process_that_died_is_taken_over(tmp_path: Path) -> None:
    with closing(bind(tmp_path / "s")):
        pass
    with closing(bind(tmp_path / "s")) as listener:
        listener.listen()
        with closing(socket.socket(socket.AF_UNIX)) as client:
            client.connect(str(tmp_path / "s"))
        with pytest.raises(OSError, match="Address already in use") as caught:
            bind(tmp_path / "s")
        assert caught.value.filename == f"client_socket {tmp_path / 's'}"


def test_what_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("mine")
    with pytest.raises(OSError, match="Address already in use"):
        bind(tmp_path / "s")
    assert (tmp_path / "s").read_text() == "mine"
    with pytest.raises(OSError, match="No such file"):
        bind(tmp_path / "none" / "s")


def test_who_is_on_this_machine() -> None:
    for host in ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"):
        assert is_local(None, host)
    for host in ("10.0.0.1", "128.0.0.1", "fd00::1", "::ffff:10.0.0.1"):
        assert not is_local(None, host)
    with closing(socket.socket(socket.AF_UNIX)) as client:
        assert is_local(client, "")
