"""``make fuzz MINUTES=60``: inputs for all targets in turn, until the time is over, Ctrl-C, or one fails.

What fails is written to a file, with the target's name and the seed: it becomes a case of ``test_fuzz.py``.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import resource
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.mutate import mutated
from tests.fuzz.targets import TARGETS, Target

#: Inputs of one target before the next one has its turn.
TURN = 2_000
#: Seconds of the loop that one input may take: more, and a stranger holds up a node.
LONGEST = 0.05


def one_turn(name: str, target: Target, seed: int) -> float:
    """So many inputs; the longest step in seconds. What fails is kept and raised."""
    choose, longest = random.Random(f"{name} {seed}"), 0.0
    for _ in range(TURN):
        data = mutated(target.corpus, choose)
        began = time.process_time()
        try:
            target.read(data)
        except target.refusals:
            pass
        except Exception:
            with tempfile.NamedTemporaryFile(prefix=f"dmqcache-fuzz-{name}-", delete=False) as file:
                file.write(data)
            print(f"{name}, seed {seed}: {file.name} fails", file=sys.stderr)
            raise
        took = time.process_time() - began
        if took > longest:
            longest = took
            if took > LONGEST:
                Path(tempfile.gettempdir(), f"dmqcache-fuzz-slow-{name}").write_bytes(data)
                print(f"{name}, seed {seed}: {took * 1000:.0f} ms for one input", file=sys.stderr)
    return longest


def main() -> int:
    """0 if nothing failed and no input took too long."""
    options = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    options.add_argument("--minutes", type=float, default=1.0)
    options.add_argument("--seed", type=int, default=int(time.time()), help="of the first turn")
    options.add_argument("targets", nargs="*", default=list(TARGETS), help="default: all")
    given = options.parse_args()
    end, seed, count, longest = time.monotonic() + given.minutes * 60, given.seed, 0, 0.0
    with contextlib.suppress(KeyboardInterrupt):
        while time.monotonic() < end:
            for name in given.targets:
                longest = max(longest, one_turn(name, TARGETS[name], seed))
                count += TURN
            seed += 1
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{count:,} inputs, the longest took {longest * 1000:.1f} ms of CPU; {memory:.0f} MiB at most")
    return int(longest > LONGEST)


if __name__ == "__main__":
    raise SystemExit(main())
