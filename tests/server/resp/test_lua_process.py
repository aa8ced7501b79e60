"""A process for scripts: nothing that becomes of it harms who holds it."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dmqcache.server.resp import lua_process as module
from dmqcache.server.resp.lua_process import Lost, LuaProcess
from dmqcache.server.resp.reply import CommandError
from tests.waiting import wait_until

SPAWN = """
import sys, time
from dmqcache.server.resp.lua_process import LuaProcess
process = LuaProcess()
process.load(b"n", b"return 1")
print(process.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def process() -> Iterator[LuaProcess]:
    process = LuaProcess()
    yield process
    process.close()


def echo(words: list[bytes]) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


def run(process: LuaProcess, code: bytes, *argv: bytes) -> bytes:
    process.load(code[:40], code)
    return process.run(code[:40], [], argv, echo)[0]


def is_there(pid: int) -> bool:
    """Whether it runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_scripts_run_and_call(process: LuaProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SECONDS", 30.0)  # On a busy machine 2,000 calls take long.
    assert run(process, b"return redis.call('x', ARGV[1])", b"\xff\0") == b"*2\r\n$1\r\nx\r\n$2\r\n\xff\0\r\n"
    code = b"local n = 0 for i = 1, 2000 do n = n + #redis.call('x', i) end return n"
    assert run(process, code) == b":4000\r\n"


def test_what_is_wrong_with_a_script_costs_nothing(process: LuaProcess) -> None:
    with pytest.raises(CommandError, match="Error compiling") as caught:
        process.load(b"n", b"return (")
    assert not isinstance(caught.value, Lost)
    assert run(process, b"error('x')").startswith(b"-ERR user_script:1: x")
    assert run(process, b"return 1") == b":1\r\n"


@pytest.mark.parametrize(
    "code",
    [
        b"while true do pcall(function() local s = 'x' while true do s = s .. s end end) end",
        b"while true do redis.call('x') end",
        b"while true do pcall(redis.call, 'x') end",
    ],
)
def test_a_script_that_does_not_end_is_ended(process: LuaProcess, code: bytes) -> None:
    try:
        assert run(process, code).startswith(b"-ERR ")  # Lua's own bound was first.
    except Lost as lost:
        assert str(lost) in (module.TOO_LONG, module.TOO_MUCH)
        assert not is_there(process.pid)


def test_a_process_that_is_killed_at_any_moment_is_an_error_and_no_more(process: LuaProcess) -> None:
    def kill(words: list[bytes]) -> bytes:
        os.kill(process.pid, signal.SIGKILL)
        return b"+OK\r\n"

    process.load(b"n", b"return redis.call('x')")
    with pytest.raises(Lost, match="memory"):
        process.run(b"n", [], [], kill)
    for use in (lambda: run(process, b"return 1"), lambda: process.load(b"m", b"return 2")):
        with pytest.raises(Lost):
            use()
    process.forget(b"n")


def test_who_fails_while_a_script_calls_ends_the_process(process: LuaProcess) -> None:
    def fail(words: list[bytes]) -> bytes:
        raise KeyboardInterrupt

    process.load(b"n", b"return redis.call('x')")
    with pytest.raises(KeyboardInterrupt):
        process.run(b"n", [], [], fail)
    assert not is_there(process.pid)


def test_it_ends_with_who_holds_it_however_that_ends() -> None:
    process = LuaProcess()
    pid = process.pid
    del process
    gc.collect()
    assert not is_there(pid)
    with subprocess.Popen([sys.executable, "-c", SPAWN], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        pid = int(holder.stdout.readline())
        assert is_there(pid)
        holder.kill()
    wait_until(lambda: not is_there(pid), 10, "the process of a node that was killed ends")


def test_a_ctrl_c_at_the_terminal_is_not_for_it(process: LuaProcess) -> None:
    assert os.getpgid(process.pid) != os.getpgid(0)
    assert run(process, b"return 1") == b":1\r\n"


def test_what_lies_in_the_working_directory_is_not_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lupa.py").write_text("raise SystemExit")
    (tmp_path / "hiredis.py").write_text("raise SystemExit")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    process = LuaProcess()
    assert run(process, b"return 1") == b":1\r\n"
    process.close()


def test_without_lupa_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(CommandError, match=r"dmqcache\[lua\]"):
        LuaProcess()
