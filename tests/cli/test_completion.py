"""Completion, tried in each shell: ``make debian`` installs them."""

from __future__ import annotations

import subprocess

import pytest

from dmqcache.cli.completion import SHELLS, script
from tests.cli.running import Run

WORDS = {"get": ["--raw", "--node", "--help"], "set": ["--ttl", "--help"]}


def completed(line: list[str]) -> set[str]:
    """What bash offers for the last word of a line."""
    words = " ".join(f"'{word}'" for word in line)
    code = (
        f"COMP_WORDS=({words}); COMP_CWORD={len(line) - 1}; _dmqcache; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    ran = subprocess.run(
        ["bash", "-c", f"{script('bash', WORDS)}\n{code}"], capture_output=True, text=True, check=True
    )
    return set(ran.stdout.split())


def test_bash_completes_commands_and_flags() -> None:
    assert completed(["dmqcache", ""]) == {"get", "set", "--help", "--version"}
    assert completed(["dmqcache", "ge"]) == {"get"}
    assert completed(["dmqcache", "get", "cache", "--r"]) == {"--raw"}
    assert completed(["dmqcache", "set", "--"]) == {"--ttl", "--help"}
    assert completed(["dmqcache", "get", "ca"]) == set()  # a table's name: nobody is asked


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_reads_its_script(shell: str) -> None:
    subprocess.run([shell, "-n", "-c", script(shell, WORDS)], check=True, capture_output=True)


@pytest.mark.parametrize("shell", SHELLS)
def test_every_command_and_flag_is_in_it(run: Run, shell: str) -> None:
    ran = run("completion", shell)
    assert ran.code == 0
    for word in ("get", "serve", "raw", "server-address", "completion", "ttl"):
        assert word in ran.out


def test_another_shell_is_refused(run: Run) -> None:
    ran = run("completion", "csh")
    assert ran.code == 2 and "'csh' is not one of bash, zsh, fish" in ran.err
