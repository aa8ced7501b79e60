"""The releases of Kamailio that the tests run, where each is found, and in what it differs from the others.

What a test has to know about a release stands here, as data. install_kamailio.py sets the releases up;
kamailio.py starts them. Only the standard library is needed, as `make debian` runs before there is a venv.
"""

import functools
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path


class NotInstalled(RuntimeError):
    """A release is not on this machine; the text says how to get it."""


@dataclass(frozen=True)
class Release:
    """One line of releases, as one release of Debian has it."""

    line: str
    """Major and minor number; each later patch of it will do."""
    patch: str
    """The patch of it that the README's matrix speaks of: Debian's, when it was last looked at."""
    suite: str
    """The release of Debian that holds it."""
    unanswered_seed: str
    """What `dmq.list_nodes` says of a notification address that has not answered yet."""
    receives_at_most: int | None
    """A longer message is dropped unanswered: it must be below `msg_recv_max_size`. None: no limit."""
    removes_by_end: bool
    """Its script knows `ew` (ends with) in sht_rm_name() and sht_rm_value()."""
    removes_by_part: bool
    """And `in` (contains)."""


RELEASES = {
    release.line: release
    for release in (
        Release("5.6", "5.6.3", "bookworm", "pending", None, False, False),
        Release("6.0", "6.0.1", "trixie", "pending", 32_766, True, False),
        Release("6.1", "6.1.5", "forky", "active", 32_766, True, True),
    )
}
DEFAULT = RELEASES["5.6"]


@dataclass(frozen=True)
class Program:
    """A Kamailio that can be started: the words before its arguments, and its modules."""

    version: str
    command: tuple[str, ...]
    modules: Path


def cache_folder(of: str = "kamailio") -> Path:
    """Where install_kamailio.py keeps the releases that this machine has not, and install_node.py Node."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "dmqcache" / of


def find(release: Release) -> Program:
    """The machine's own Kamailio if it is of this line, else the one in the cache folder."""
    for found in (_system(), unpacked_program(cache_folder() / release.suite)):
        if found and found.version.startswith(f"{release.line}."):
            return found
    raise NotInstalled(
        f"Kamailio {release.line} is not here (neither installed nor in {cache_folder()}): run `make debian`"
    )


@functools.cache
def _system() -> Program | None:
    program = shutil.which("kamailio", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    modules = next(iter(sorted(Path("/usr/lib").glob("*/kamailio/modules"))), None)
    return _program((program,), modules) if program and modules else None


@functools.cache
def unpacked_program(folder: Path) -> Program | None:
    """Started by its own dynamic loader with its own libraries: no chroot, no root."""
    modules = next(iter(sorted(folder.glob("usr/lib/*/kamailio/modules"))), None)
    if modules is None:
        return None
    libraries = modules.parent.parent
    loader = next(iter(sorted(libraries.glob("ld-linux-*.so.*"))), None)
    if loader is None:
        return None
    path = f"{libraries}:{libraries / 'kamailio'}"
    return _program((str(loader), "--library-path", path, str(folder / "usr/sbin/kamailio")), modules)


def _program(command: tuple[str, ...], modules: Path) -> Program | None:
    answer = subprocess.run([*command, "-v"], capture_output=True, text=True, check=False)
    words = answer.stdout.split()
    return Program(words[2], command, modules) if words[:2] == ["version:", "kamailio"] else None
