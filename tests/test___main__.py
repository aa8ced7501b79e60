"""``python -m dmqcache``: the commands, and an end without a traceback whenever Ctrl-C comes."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from dmqcache import __main__ as entry
from dmqcache.cli import app as cli

pytestmark = pytest.mark.usefixtures("own_process")


def test_it_is_the_same_as_the_command() -> None:
    ran = subprocess.run([sys.executable, "-m", "dmqcache", "--version"], capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith("dmqcache ")


def test_ctrl_c_while_the_commands_are_loaded_shows_no_traceback() -> None:
    code = (
        "import os, signal, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'dmqcache.cli.app': os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder())\n"
        "from dmqcache.__main__ import main\n"
        "main()\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (-signal.SIGINT, "")


@pytest.mark.parametrize(
    ("words", "ends"),
    [(["serve", "--help"], 0), (["get", "serving"], -signal.SIGHUP)],
    ids=["node", "command"],
)
def test_a_hang_up_while_it_is_loaded_ends_no_node(words: list[str], ends: int) -> None:
    """It ended one that was told to read its files again right after it was started."""
    code = (
        "import os, signal, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'dmqcache.cli.app': os.kill(os.getpid(), signal.SIGHUP)\n"
        "sys.meta_path.insert(0, Finder())\n"
        "from dmqcache.__main__ import main\n"
        "main()\n"
    )
    ran = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (ends, "")


def test_ctrl_c_in_a_command_ends_it_as_a_shell_expects(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "main", interrupted)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.raises(SystemExit) as ended:
        entry.main()
    assert ended.value.code == 130


def test_who_ignores_ctrl_c_goes_on_ignoring_it(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []
    monkeypatch.setattr(cli, "main", lambda: seen.append(signal.getsignal(signal.SIGINT)))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    entry.main()
    assert seen == [signal.SIG_IGN]
