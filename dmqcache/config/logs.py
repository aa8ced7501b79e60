"""Where log lines go and what they look like: standard error, as text or as one JSON object a line.

Everything logs through the standard library's ``logging`` under the name ``dmqcache``; facts that a machine
may want stand in ``extra={...}`` and appear as fields in JSON and as ``key=value`` at a text line's end.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any, TextIO

#: What every record has; anything else on it came from ``extra``.
_STANDARD = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {
    "message",
    "asctime",
    "taskName",
}


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def _timestamp(record: logging.LogRecord) -> str:
    """RFC 3339 in UTC with milliseconds."""
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{seconds}.{int(record.msecs):03d}Z"


def _visible(char: str) -> str:
    return char if char.isprintable() else char.encode("unicode_escape").decode()


class TextFormatter(logging.Formatter):
    """``2026-01-02T03:04:05.678Z warning bus.notification: text key=value``"""

    def format(self, record: logging.LogRecord) -> str:
        name = record.name.removeprefix("dmqcache.")
        line = f"{_timestamp(record)} {record.levelname.lower()} {name}: {record.getMessage()}"
        for key, value in _extras(record).items():
            line += f" {key}={value}"
        # A name from the wire may hold a line end, which would fake a line, or what a terminal obeys.
        if not line.isprintable():
            line = "".join(map(_visible, line))
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line.encode("utf-8", "backslashreplace").decode("utf-8")


class JsonFormatter(logging.Formatter):
    """One object a line: time, level, logger, message, the extras, and the traceback as ``exception``."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {
            "time": _timestamp(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields |= _extras(record)
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields, default=str)


def setup(level: str = "info", form: str = "text", stream: TextIO | None = None) -> None:
    """Send everything that ``dmqcache`` logs to ``stream`` (standard error). Calling it again replaces
    what the last call set up."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger("dmqcache").setLevel(level.upper())
