"""Long replies: parts that are never large, and all of them together."""

from __future__ import annotations

from dmqcache.server.resp.long_reply import PART_BYTES, Parts, joined


def test_a_short_reply_is_one_piece() -> None:
    parts = Parts()
    assert parts.reply(b"*0\r\n") == b"*0\r\n"
    parts.add(b"a", 2)
    parts.add(b"b")
    assert parts.count == 3
    assert parts.reply(b"*3\r\n") == b"*3\r\nab"


def test_a_long_reply_has_parts_that_are_joined_where_nobody_takes_parts() -> None:
    parts = Parts()
    for number in range(10_000):
        parts.add(b"%0100d" % number)
    reply = parts.reply(b"*%d\r\n" % parts.count)
    assert isinstance(reply, list) and len(reply) > 10_000 * 100 // PART_BYTES
    assert max(map(len, reply)) < PART_BYTES + 100
    assert joined(reply) == b"*10000\r\n" + b"".join(b"%0100d" % number for number in range(10_000))
