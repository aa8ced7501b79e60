"""Rests between attempts, on a clock of the test's own."""

from __future__ import annotations

import pytest

from dmqcache.bus.net import backoff as module
from dmqcache.bus.net.backoff import FIRST_SECONDS, LONGEST_SECONDS, Backoff
from dmqcache.bus.sip.uri import Endpoint

ONE, TWO = Endpoint("tcp", "192.0.2.1", 5060), Endpoint("tcp", "192.0.2.2", 5060)


def test_rests_double_up_to_a_bound() -> None:
    backoff, now, rests = Backoff(), 0.0, []
    assert backoff.blocks(ONE, now) == ""
    for _ in range(9):
        backoff.failed(ONE, "refused", now)
        step = 0
        while backoff.blocks(ONE, now + step / 10):
            step += 1
        rests.append(step / 10)
        now += step / 10
    assert rests == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]
    assert (FIRST_SECONDS, LONGEST_SECONDS) == (0.1, 5.0)


def test_the_reason_is_the_last_one_and_others_are_free() -> None:
    backoff = Backoff()
    backoff.failed(ONE, "refused", 0.0)
    backoff.failed(ONE, "timeout", 0.0)
    assert backoff.blocks(ONE, 0.1) == "timeout"
    assert (backoff.reason(ONE), backoff.reason(TWO)) == ("timeout", "")
    backoff.forget(ONE)
    backoff.failed(TWO, "refused", 0.0)
    backoff.blocks(TWO, 100.0)
    assert (backoff.reason(ONE), backoff.reason(TWO)) == ("", "refused")
    backoff.failed(ONE, "timeout", 0.0)
    assert backoff.blocks(TWO, 0.1) == ""


def test_a_success_begins_anew() -> None:
    backoff = Backoff()
    for _ in range(5):
        backoff.failed(ONE, "refused", 0.0)
    backoff.forget(ONE)
    assert backoff.blocks(ONE, 0.0) == ""
    backoff.failed(ONE, "refused", 0.0)
    assert backoff.blocks(ONE, FIRST_SECONDS) == ""
    backoff.forget(TWO)


def test_a_host_that_calls_frees_its_endpoints_only() -> None:
    backoff = Backoff()
    other_port = ONE._replace(port=5062)
    for endpoint in (ONE, TWO, other_port):
        backoff.failed(endpoint, "refused", 0.0)
    backoff.forget_host(ONE.host)
    assert [backoff.blocks(endpoint, 0.0) for endpoint in (ONE, other_port, TWO)] == ["", "", "refused"]


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ENDPOINTS", 3)
    backoff = Backoff()
    for port in (1, 2, 3, 1, 4):
        backoff.failed(ONE._replace(port=port), "refused", 0.0)
    blocked = [port for port in range(1, 5) if backoff.blocks(ONE._replace(port=port), 0.0)]
    assert blocked == [1, 3, 4]
