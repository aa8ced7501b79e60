"""Commands as a client says them, and their replies as its library gives them."""

from __future__ import annotations

from typing import Any

import hiredis

from dmqcache.server.resp.command_table import execute
from dmqcache.server.resp.long_reply import joined
from dmqcache.server.resp.session import Session
from tests.server.fakes import make_session

OK = "OK"
NOT_INTEGER = "ERR value is not an integer or out of range"

#: A line of words and the reply it gets, one after the other on one new connection.
Transcript = list[tuple[str, object]]


def say(session: Session, *args: str) -> Any:
    """One command's reply as a client's library gives it; errors as their text."""
    reply = execute(session, list(args))
    while not isinstance(reply, bytes):
        try:
            reply.send(None)
        except StopIteration as end:
            reply = joined(end.value)
    reader = hiredis.Reader(encoding="utf-8", errors="surrogateescape")
    reader.feed(reply)
    value = reader.gets()
    assert not reader.has_data()
    return str(value) if isinstance(value, hiredis.ReplyError) else value


def hold(transcript: Transcript) -> None:
    """Each line gets its reply."""
    session = make_session()
    for number, (line, expected) in enumerate(transcript, 1):
        assert say(session, *line.split(" ")) == expected, f"{number}: {line}"
