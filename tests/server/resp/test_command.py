"""How commands read their arguments, and containers of subcommands."""

from __future__ import annotations

import pytest

from dmqcache.server.resp.command import Command, Options, container, parse_integer, seconds_from_now
from dmqcache.server.resp.reply import OK, CommandError
from tests.server.fakes import make_session
from tests.server.resp.saying import NOT_INTEGER


@pytest.mark.parametrize("text", ["", " 1", "+1", "01", "-0", "1_0", "1.0", "x", str(1 << 63), "\u0661"])
def test_what_redis_takes_for_no_integer(text: str) -> None:
    with pytest.raises(CommandError, match=NOT_INTEGER):
        parse_integer(text)
    with pytest.raises(CommandError, match="timeout is not an integer"):
        parse_integer(text, "timeout")


@pytest.mark.parametrize("number", [0, -1, (1 << 63) - 1, -(1 << 63)])
def test_integers(number: int) -> None:
    assert parse_integer(str(number)) == number


def test_times_from_now() -> None:
    assert seconds_from_now("5", "EX", 1000.0, "set") == 5.0
    assert seconds_from_now("1500", "PX", 1000.0, "set") == 1.5
    assert seconds_from_now("1005", "EXAT", 1000.0, "set") == 5.0
    assert seconds_from_now("900000", "PXAT", 1000.0, "set") == -100.0
    with pytest.raises(CommandError, match="invalid expire time in 'set' command"):
        seconds_from_now(str((1 << 63) - 1), "EX", 1000.0, "SET")


def test_options_are_walked_in_their_order() -> None:
    options = Options(["SET", "a", "ex", "5", "Nx"], 2)
    assert (next(options), options.word, options.has_more(), options.has_more(3)) == ("EX", "ex", True, False)
    assert options.integer() == 5
    assert next(options) == "NX"
    with pytest.raises(CommandError, match="syntax error"):
        options.value()


def test_a_container_lists_its_subcommands() -> None:
    command = container("A", "", [Command("A|B", lambda session, args: OK, 2, "", "Does it.")])
    assert set(command.subcommands) == {"B", "HELP"}
    assert (command.arity, command.takes(1), command.takes(2)) == (-2, False, True)
    shown = command.subcommands["HELP"].handler(make_session(), ["A", "HELP"])
    assert isinstance(shown, bytes) and b"+B\r\n+    Does it.\r\n" in shown
