"""What a process has only once: logging, the environment, the working directory, signal handlers.

A test that changes one of them changes the tests that come after it in the same process. So it is compared
before and after each test (``tests/conftest.py``); a test that has to change it asks for ``own_process``.
"""

from __future__ import annotations

import logging
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)
#: pytest itself says there where it is.
_PYTEST = "PYTEST_CURRENT_TEST"


@dataclass(frozen=True)
class LoggerState:
    """How one logger is set."""

    level: int = logging.NOTSET
    handlers: tuple[logging.Handler, ...] = ()
    propagate: bool = True
    disabled: bool = False


@dataclass(frozen=True)
class ProcessState:
    """All of it at one moment; ``differences`` tells two moments apart, ``restore`` goes back to one."""

    loggers: dict[str, LoggerState]
    logging_disabled: int
    environment: dict[str, str]
    directory: Path
    signal_handlers: dict[signal.Signals, Any]

    @classmethod
    def now(cls) -> ProcessState:
        return cls(
            loggers=_loggers(),
            logging_disabled=logging.root.manager.disable,
            environment={name: value for name, value in os.environ.items() if name != _PYTEST},
            directory=Path.cwd(),
            signal_handlers={number: signal.getsignal(number) for number in SIGNALS},
        )

    def differences(self, later: ProcessState) -> list[str]:
        """What is different at a later moment, in words."""
        said = [
            f"the logger {name or 'root'!r} was {self.loggers.get(name)} and is {later.loggers.get(name)}"
            for name in sorted(self.loggers.keys() | later.loggers.keys())
            if self.loggers.get(name, LoggerState()) != later.loggers.get(name, LoggerState())
        ]
        for what in ("logging_disabled", "environment", "directory", "signal_handlers"):
            before, after = getattr(self, what), getattr(later, what)
            if before != after:
                said.append(f"{what} was {before} and is {after}")
        return said

    def restore(self) -> None:
        self._restore_logging()
        for name in set(os.environ) - set(self.environment) - {_PYTEST}:
            del os.environ[name]
        os.environ.update(self.environment)
        os.chdir(self.directory)
        for number, handler in self.signal_handlers.items():
            signal.signal(number, handler)

    def _restore_logging(self) -> None:
        logging.disable(self.logging_disabled)
        for name in self.loggers.keys() | _loggers().keys():
            state, logger = self.loggers.get(name, LoggerState()), logging.getLogger(name or None)
            logger.setLevel(state.level)
            logger.handlers[:] = state.handlers
            logger.propagate, logger.disabled = state.propagate, state.disabled


def _loggers() -> dict[str, LoggerState]:
    """The root, whose name is empty, and our own loggers, where they are not as ``getLogger`` makes them.
    Libraries see to their own: uvicorn sets up its loggers with each server, always in the same way."""
    ours = [name for name in logging.root.manager.loggerDict if name.split(".")[0] == "dmqcache"]
    states = {}
    for name in ("", *ours):
        one = logging.getLogger(name or None)
        states[name] = LoggerState(one.level, tuple(one.handlers), one.propagate, one.disabled)
    return {name: state for name, state in states.items() if state != LoggerState()}
