"""Real nodes side by side: each worker of pytest-xdist has a network of its own, and so all addresses.

``pytest -p tests.interop.own_network -n 2 --dist loadfile -m interop``. Needs root, as ``ip netns`` does. In
a run without workers it does nothing.
"""

import ctypes
import os
import subprocess
from typing import Any

import pytest

CLONE_NEWNS, CLONE_NEWNET = 0x0002_0000, 0x4000_0000
MS_REC, MS_PRIVATE = 0x4000, 0x4_0000
ADDRESS = "192.0.2.1/24"
"""A second interface with a default route, as a machine has: not all that is tried is on loopback."""
LINKS = (
    "link set lo up",
    "link add outside0 type veth peer name outside1",
    "link set outside0 up",
    "link set outside1 up",
    f"address add {ADDRESS} dev outside0",
    "route add default dev outside0",
)


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        leave_for_own_network()


def leave_for_own_network() -> None:
    """From now on this thread, and what it starts, has a network and a /run (for ``ip netns``) of its own."""
    _call("unshare", CLONE_NEWNS | CLONE_NEWNET)
    _call("mount", b"none", b"/", None, MS_REC | MS_PRIVATE, None)
    _call("mount", b"none", b"/run", b"tmpfs", 0, None)
    for words in LINKS:
        subprocess.run(["ip", *words.split()], check=True)


def _call(name: str, *arguments: Any) -> None:
    """A function of the C library (Python has ``os.unshare`` from 3.12 on, and no ``mount``)."""
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}; try `make interop` as root")
