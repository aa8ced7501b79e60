"""The unix socket for clients of this user and machine: made with mode 0600, and taken over from a node that
died; and which clients are on this machine."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path
from typing import Final

#: Only the user who runs the node (and root) may connect.
_MASK: Final = 0o177


def bind(path: Path) -> socket.socket:
    """A socket that is bound to ``path``. OSError, with option and path as its file name, where another
    process listens there, something else lies there, or it cannot be made."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_dead(path)
        before = os.umask(_MASK)
        try:
            listener.bind(str(path))
        finally:
            os.umask(before)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise OSError(error.errno, error.strerror or str(error), f"client_socket {path}") from None
    return listener


def _remove_dead(path: Path) -> None:
    """Remove the socket of a process that is gone."""
    try:
        if not stat.S_ISSOCK(path.stat().st_mode):
            return
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)


def is_local(client: socket.socket | None, host: str) -> bool:
    """Whether a client is on this machine: its socket is of that kind, or its address is of loopback."""
    if client is not None and client.family == socket.AF_UNIX:
        return True
    return host.startswith(("127.", "::ffff:127.")) or host == "::1"
