"""The same seed gives the same run to the bit: in one process, and in others that hash differently."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import pytest

from tests.simulation.campaign import replay, run_seed, transcript

PROGRAM = """
import sys
from tests.simulation.test_determinism import fingerprint
print(fingerprint(int(sys.argv[1])))
"""


def fingerprint(seed: int) -> str:
    """A hash of everything that happened, line by line."""
    run, result = replay(seed)
    lines = "\n".join(transcript(run)).encode("utf-8", "surrogateescape")
    return f"{hashlib.sha256(lines).hexdigest()} {result.fingerprint:08x} {result.events}"


def in_a_process(seed: int, hash_seed: int) -> str:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, str(seed)],
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


@pytest.mark.parametrize("seed", [1, 3, 12])
def test_a_seed_gives_the_same_run_in_every_process(seed: int) -> None:
    here = fingerprint(seed)
    assert fingerprint(seed) == here
    assert in_a_process(seed, 1) == here
    assert in_a_process(seed, 4242) == here


def test_a_run_without_a_transcript_is_the_same_run() -> None:
    assert run_seed(5).fingerprint == replay(5)[1].fingerprint


def test_seeds_differ() -> None:
    assert fingerprint(3) != fingerprint(4)


def test_a_transcript_can_be_read() -> None:
    lines = list(transcript(replay(3)[0]))
    assert any("starts (dmqcache)" in line for line in lines)
    assert any("KDMQ sip:notification_peer@" in line for line in lines)
    assert any("=== set(" in line for line in lines)
    assert any("log: node sip:127.0.0." in line for line in lines)
