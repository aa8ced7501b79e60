"""The page of commands is as the table is, and knows Redis' commands."""

from __future__ import annotations

from typing import Any

import pytest

from tests.server.resp.command_page import PAGE, our_commands, page, redis_commands
from tests.server.resp.rival import Speaker, redis_server


def test_the_page_is_that_of_the_table() -> None:
    assert PAGE.read_text("utf-8") == page(), "python -m tests.server.resp.command_page"


def test_every_command_stands_there_once_as_here_or_as_absent() -> None:
    text = page()
    for name in {*our_commands(), *(name for names in redis_commands().values() for name in names)}:
        assert text.count(f"`{name}`") == 1, name


@pytest.mark.interop
def test_redis_has_these_commands() -> None:
    with redis_server() as address:
        speaker = Speaker(address)
        found = set(_names(speaker.say(["COMMAND"])))
        speaker.close()
    assert {name for names in redis_commands().values() for name in names} == found


def _names(described: list[Any]) -> list[str]:
    names = []
    for one in described:
        names += _names(one[9]) or [one[0].decode().upper().replace("|", " ")]
    return names
