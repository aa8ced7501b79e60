"""The words for failures, and that they come on a later turn."""

from __future__ import annotations

import asyncio
import errno
import ssl

import pytest

from dmqcache.bus.net.failure import Failures, reason_of
from dmqcache.bus.sip.uri import Endpoint
from tests.bus.net.loops import turns

ONE, TWO = Endpoint("udp", "192.0.2.1", 5060), Endpoint("udp", "192.0.2.2", 5060)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), "refused"),
        (OSError(errno.EHOSTUNREACH, "x"), "unreachable"),
        (OSError(errno.ENETUNREACH, "x"), "unreachable"),
        (PermissionError(errno.EPERM, "x"), "blocked"),
        (ConnectionResetError(errno.ECONNRESET, "x"), "reset"),
        (BrokenPipeError(errno.EPIPE, "x"), "reset"),
        (TimeoutError(), "timeout"),
        (TimeoutError(errno.ETIMEDOUT, "x"), "timeout"),
        (OSError(errno.EMSGSIZE, "x"), "too_large"),
        (OSError(errno.EIO, "x"), "error"),
        (OSError("no number"), "error"),
        # Its number is OpenSSL's: 1 is not EPERM, which would be a packet filter.
        (ssl.SSLError(1, "x"), "tls"),
        (ssl.SSLEOFError(8, "x"), "reset"),
    ],
)
def test_each_error_has_a_word(error: OSError, reason: str) -> None:
    assert reason_of(error) == reason


def test_failures_are_told_once_on_the_next_turn_in_order() -> None:
    async def main() -> None:
        told: list[tuple[Endpoint, str]] = []
        failures = Failures(asyncio.get_running_loop(), lambda *failure: told.append(failure))
        for _ in range(3):
            failures.report(TWO, "refused")
            failures.report(ONE, "refused")
        assert told == []
        await turns()
        assert told == [(TWO, "refused"), (ONE, "refused")]
        failures.report(TWO, "refused")
        await turns()
        assert len(told) == 3

    asyncio.run(main())


def test_what_is_reported_while_telling_comes_a_turn_later() -> None:
    async def main() -> None:
        told: list[Endpoint] = []

        def failed(endpoint: Endpoint, reason: str) -> None:
            told.append(endpoint)
            if endpoint == ONE:
                failures.report(TWO, "refused")
                assert told == [ONE]

        failures = Failures(asyncio.get_running_loop(), failed)
        failures.report(ONE, "refused")
        await turns()
        assert told == [ONE, TWO]

    asyncio.run(main())


def test_a_listener_that_breaks_keeps_nothing_from_the_others(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        told: list[Endpoint] = []

        def failed(endpoint: Endpoint, reason: str) -> None:
            if endpoint == ONE:
                raise ValueError("on purpose")
            told.append(endpoint)

        failures = Failures(asyncio.get_running_loop(), failed)
        failures.report(ONE, "refused")
        failures.report(TWO, "refused")
        await turns()
        assert told == [TWO]

    asyncio.run(main())
    assert "on purpose" in caplog.text


def test_after_stop_nothing_is_told() -> None:
    async def main() -> None:
        told: list[Endpoint] = []
        failures = Failures(asyncio.get_running_loop(), lambda endpoint, reason: told.append(endpoint))
        failures.report(ONE, "refused")
        failures.stop()
        failures.report(TWO, "refused")
        await turns()
        assert told == []

    asyncio.run(main())
