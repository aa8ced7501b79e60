"""Unix sockets of the servers: made with mode 0600, and taken over from a node that died."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path
from typing import Final

#: Only the user who runs the node (and root) may connect.
_MASK: Final = 0o177


def bind_path(path: Path, kind: int, option: str) -> socket.socket:
    """A socket that is bound to ``path``. ``kind``: ``SOCK_STREAM`` or ``SOCK_DGRAM``. OSError, with option
    and path as its file name, where another process listens there, something else lies there, or it cannot
    be made."""
    listener = socket.socket(socket.AF_UNIX, kind)
    try:
        _remove_dead(path, kind)
        before = os.umask(_MASK)
        try:
            listener.bind(str(path))
        finally:
            os.umask(before)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise OSError(error.errno, error.strerror or str(error), f"{option} {path}") from None
    return listener


def _remove_dead(path: Path, kind: int) -> None:
    """Remove the socket of a process that is gone."""
    try:
        if not stat.S_ISSOCK(path.stat().st_mode):
            return
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, kind) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
