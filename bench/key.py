"""What the bus's key costs: replicated sets with and without it, in turn, and the signatures alone."""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.cluster import KEY_VARIABLE
from bench.codec import microseconds
from bench.embedded import sets_per_second
from dmqcache.bus.trust.keys import KEY_BYTES, Key, KeyRing, write_key
from dmqcache.bus.trust.signature import Signed, Signer, Verdict

#: Bytes of a body: one cell, and a batch.
SIZES = (300, 24_000)


@contextmanager
def _with_key() -> Iterator[None]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "bus.key"
        file.touch(0o600)
        file.write_text(write_key(os.urandom(KEY_BYTES)))
        os.environ[KEY_VARIABLE] = str(file)
        try:
            yield
        finally:
            del os.environ[KEY_VARIABLE]


def rates(runs: int, sets: int) -> tuple[float, float]:
    """Replicated sets a second with the key and without it: medians of runs that take turns."""
    with_key, without = [], []
    for _ in range(runs):
        without.append(sets_per_second(sets, sets))
        with _with_key():
            with_key.append(sets_per_second(sets, sets))
    return statistics.median(with_key), statistics.median(without)


def costs() -> dict[str, float]:
    """Microseconds of one signature: made and judged."""
    ring = KeyRing((Key(bytes(KEY_BYTES)),))
    one, other = Signer(ring, "a" * 16, lambda: "b" * 16), Signer(ring, "c" * 16, lambda: "d" * 16)
    numbers = iter(range(10**9))
    found = {}
    for size in SIZES:
        lines = tuple("x" * length for length in (35, 48, 22, 8, 27, 1, 16, 10))
        what = Signed(lines, bytes(size))
        seal = one.sign(what, "d" * 16)
        header = str(seal)
        assert other.judge(header, what, next(numbers))[0] is Verdict.GOOD

        def judge(header: str = header, what: Signed = what) -> None:
            other.judge(header, what, next(numbers))

        found[f"sign a message with a body of {size:,} bytes"] = microseconds(
            lambda what=what: one.sign(what, "d" * 16)  # type: ignore[misc]
        )
        found[f"judge its signature, {size:,} bytes"] = microseconds(judge)
    return found
