"""The servers' unix sockets: who may connect, and whose they are."""

from __future__ import annotations

import os
import socket
import stat
from contextlib import closing
from pathlib import Path

import pytest

from dmqcache.server.unix_socket import bind_path

both_kinds = pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])


@both_kinds
def test_only_its_user_may_connect(tmp_path: Path, kind: int) -> None:
    before = os.umask(0)
    try:
        with closing(bind_path(tmp_path / "s", kind, "some_socket")):
            assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o600
            assert os.umask(0) == 0
    finally:
        os.umask(before)


@both_kinds
def test_one_of_a_process_that_died_is_taken_over_and_one_that_lives_is_not(
    tmp_path: Path, kind: int
) -> None:
    with closing(bind_path(tmp_path / "s", kind, "some_socket")):
        pass
    with closing(bind_path(tmp_path / "s", kind, "some_socket")) as listener:
        if kind == socket.SOCK_STREAM:
            listener.listen()
        with pytest.raises(OSError, match="Address already in use") as caught:
            bind_path(tmp_path / "s", kind, "some_socket")
        assert caught.value.filename == f"some_socket {tmp_path / 's'}"
