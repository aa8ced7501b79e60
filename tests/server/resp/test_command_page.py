"""The page of commands is as the table is, and knows Redis' commands."""

from __future__ import annotations

from typing import Any

import pytest

from tests.server.resp.command_page import PAGE, our_commands, page, redis_commands
from tests.server.resp.rival import Speaker, redis_server


def test_the_page_is_that_of_the_table() -> None:
    assert PAGE.read_text("utf-8") == page(), "python -m tests.server.resp.command_page"


#: What clients and exporters were promised, beside the groups that are whole.
PROMISED = """
GETDEL GETEX GETSET SETEX PSETEX SETNX MGET MSET MSETNX APPEND STRLEN GETRANGE SUBSTR SETRANGE INCRBYFLOAT LCS
GETBIT SETBIT BITCOUNT BITPOS BITOP BITFIELD BITFIELD_RO EXPIRE PEXPIRE EXPIREAT PEXPIREAT TTL PTTL EXPIRETIME
PEXPIRETIME PERSIST TYPE TOUCH UNLINK RENAME RENAMENX COPY DUMP RESTORE RANDOMKEY SCAN OBJECT|ENCODING
OBJECT|FREQ OBJECT|IDLETIME OBJECT|REFCOUNT MULTI EXEC DISCARD WATCH UNWATCH CLIENT|ID CLIENT|INFO CLIENT|LIST
CLIENT|SETNAME CLIENT|SETINFO CLIENT|KILL CLIENT|PAUSE CLIENT|REPLY CLIENT|NO-EVICT CLIENT|UNBLOCK
CLIENT|TRACKING CONFIG|GET CONFIG|SET CONFIG|RESETSTAT MEMORY|USAGE MEMORY|STATS COMMAND|DOCS COMMAND|COUNT
COMMAND|INFO COMMAND|GETKEYS COMMAND|LIST SLOWLOG|GET SLOWLOG|LEN SLOWLOG|RESET LATENCY|LATEST LATENCY|HISTORY
LATENCY|RESET MONITOR RESET LASTSAVE ROLE INFO EVAL EVALSHA SCRIPT|LOAD SCRIPT|EXISTS SCRIPT|FLUSH SUBSCRIBE
PSUBSCRIBE PUBLISH PUBSUB|CHANNELS PUBSUB|NUMSUB PUBSUB|NUMPAT WAIT
"""


def test_what_was_promised_is_here() -> None:
    assert {name.replace("|", " ") for name in PROMISED.split()} - our_commands().keys() == set()


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
