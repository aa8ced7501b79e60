"""Secrets: where they come from, and that nothing shows them. From a file or from the environment, never from
a flag, which every user of the machine could read (``ps``).

What a secret is for is its reader's business. Errors name the file and never what stands in it.
"""

from __future__ import annotations

import logging
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dmqcache.config.option import ConfigError

log = logging.getLogger("dmqcache")

#: Bytes of a file: thousands of users.
MAX_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret that is read when it is needed. Its repr shows the file at most."""

    path: Path | None = None
    #: The secret itself, from the environment.
    text: str = field(default="", repr=False)
    #: What names the file: an option, a variable; for what is said of it.
    option: str = field(default="", compare=False)

    def read(self) -> str:
        """The first line of the file, or the text. ConfigError."""
        if self.path is None:
            return self.text
        lines = read_private(self.path, self.option).splitlines()
        if not lines or not lines[0].strip():
            raise ConfigError(f"{_named(self.option, self.path)} is empty: its first line is the secret")
        return lines[0]


def read_private(path: Path, option: str = "") -> str:
    """The text of a file that only its owner should be able to read; a warning where others can. ConfigError
    where it cannot be read, by the name of the option that names it."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{_named(option, path)}: {error.strerror or error}") from None
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{_named(option, path)} is longer than {MAX_BYTES} bytes")
    warn_if_open(path)
    return data.decode("utf-8", "surrogateescape")


def warn_if_open(path: Path) -> None:
    """A warning where others than its owner can read a file of secrets. One that is not there is said by who
    reads it."""
    with suppress(OSError):
        if path.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH):
            log.warning("%s can be read or written by every user of this machine: chmod 600 %s", path, path)


def _named(option: str, path: Path) -> str:
    return f"{option} {path}".lstrip()
