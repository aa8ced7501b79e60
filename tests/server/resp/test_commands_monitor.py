"""MONITOR and SLOWLOG: their words."""

from __future__ import annotations

from tests.server.fakes import make_session
from tests.server.resp.saying import OK, hold, say


def test_the_slow_log_is_asked() -> None:
    count = "ERR count should be greater than or equal to -1"
    hold(
        [
            ("CONFIG SET slowlog-log-slower-than 0 slowlog-max-len 3", OK),
            ("PING", "PONG"),
            ("SLOWLOG LEN", 2),
            ("SLOWLOG GET x", count),
            ("SLOWLOG GET -2", count),
            ("CONFIG GET slowlog*", ["slowlog-log-slower-than", "0", "slowlog-max-len", "3"]),
            ("SLOWLOG RESET", OK),
            ("CONFIG SET slowlog-log-slower-than -1", OK),
            ("SLOWLOG LEN", 1),
            ("SLOWLOG GET -1", [[6, 1700001000, 0, ["SLOWLOG", "RESET"], "127.0.0.1:1", ""]]),
        ]
    )


def test_a_monitor_has_no_keys_and_is_asked_once() -> None:
    session = make_session()
    assert say(session, "MONITOR") == OK
    assert say(session, "GET", "a") == "ERR Replica can't interact with the keyspace"
    assert session.shared.execute(session, ["MONITOR"]) == b""
    assert say(session, "RESET") == "RESET"
    assert say(session, "GET", "a") is None
    for words in (["MULTI"], ["MONITOR"]):
        say(session, *words)
    assert str(say(session, "EXEC")[0]) == "ERR MONITOR isn't allowed for DENY BLOCKING client"


def test_latencies_are_asked() -> None:
    session = make_session()
    session.shared.clock = iter(number * 0.05 for number in range(1000)).__next__
    assert say(session, "CONFIG", "SET", "latency-monitor-threshold", "1") == OK
    assert say(session, "GET", "a") is None
    (latest,) = (one for one in say(session, "LATENCY", "LATEST") if one[0] == "fast-command")
    assert latest[2:] == [50, 50]
    assert [one[1] for one in say(session, "LATENCY", "HISTORY", "fast-command")] == [50]
    assert say(session, "LATENCY", "GRAPH", "fast-command").startswith("fast-command - high 50 ms, low 50 ms")
    assert "fast-command: 1 latency spikes" in say(session, "LATENCY", "DOCTOR")
    assert say(session, "LATENCY", "RESET") == 2
    assert say(session, "LATENCY", "HISTORY", "fast-command") == []
