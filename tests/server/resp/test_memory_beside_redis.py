"""Side by side with a real redis-server: what MEMORY and OBJECT tell has the same names, types and errors."""

from __future__ import annotations

from typing import Any

import pytest

from tests.server.fakes import FakeNode
from tests.server.resp.rival import Speaker, redis_server
from tests.server.resp.test_like_redis import RealTime
from tests.server.serving import serving

pytestmark = pytest.mark.interop


@pytest.mark.parametrize("protocol", ["2", "3"])
def test_names_types_and_errors(protocol: str) -> None:
    with redis_server() as theirs, serving(FakeNode("cache", time=RealTime())) as ours:
        pair = [Speaker(ours.address), Speaker(theirs)]
        for one in pair:
            one.say(["HELLO", protocol])
            one.say(["SET", "a", "1"])
        mine, redis = (_kinds(one.say(["MEMORY", "STATS"])) for one in pair)
        assert mine == redis
        assert [type(one.say(["MEMORY", "DOCTOR"])) for one in pair] == [bytes, bytes]
        payload = _text(pair[1].say(["DUMP", "a"]))
        for words in (
            ["OBJECT", "IDLETIME", "a"],
            ["OBJECT", "IDLETIME", "none"],
            ["OBJECT", "IDLETIME"],
            ["OBJECT", "FREQ", "a"],
            ["OBJECT", "FREQ", "none"],
            ["RESTORE", "b", "0", payload, "IDLETIME", "5000"],
            ["OBJECT", "IDLETIME", "b"],
            ["EXISTS", "b"],
            ["TYPE", "b"],
            ["TTL", "b"],
            ["KEYS", "*"],
            ["MEMORY", "USAGE", "none"],
            ["OBJECT", "IDLETIME", "b"],
            ["TOUCH", "b"],
            ["OBJECT", "IDLETIME", "b"],
            ["RESTORE", "b", "0", payload, "REPLACE", "IDLETIME", "70"],
            ["EXPIRE", "b", "1000"],
            ["OBJECT", "IDLETIME", "b"],
            ["MEMORY", "STATS", "x"],
            ["MEMORY", "DOCTOR", "x"],
            ["MEMORY"],
        ):
            replies = [_sorted(one.say(words)) for one in pair]
            assert replies[0] == replies[1], words
        for one in pair:
            one.close()


def _kinds(reply: Any) -> Any:
    """Names in their order, with what kind of value each has: RESP2 writes doubles as texts."""
    if isinstance(reply, list):
        reply = dict(zip(reply[::2], reply[1::2], strict=True))
    return [
        (name, _kinds(value) if isinstance(value, dict | list) else type(value).__name__)
        for name, value in reply.items()
    ]


def _sorted(reply: Any) -> Any:
    return sorted(reply) if isinstance(reply, list) else reply


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
