"""What is hidden when a command is shown to others."""

from __future__ import annotations

import pytest

from dmqcache.server.resp.redacted import redacted


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("AUTH secret", "AUTH (redacted)"),
        ("auth me secret", "auth (redacted) (redacted)"),
        ("HELLO 3 AUTH me secret SETNAME x", "HELLO 3 AUTH (redacted) (redacted) SETNAME x"),
        ("hello 2 auth auth auth", "hello 2 auth (redacted) (redacted)"),
        ("HELLO 3 AUTH", "HELLO 3 AUTH"),
        ("SET auth secret", "SET auth secret"),
    ],
)
def test_passwords(said: str, shown: str) -> None:
    assert redacted(said.split()) == shown.split()
