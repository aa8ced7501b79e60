"""What LATENCY GRAPH and LATENCY DOCTOR say of the moments that ``latency.py`` keeps. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dmqcache.server.resp.latency import Latency, Sample

#: Moments beside each other in a graph, and lines of it (Redis').
COLUMNS: Final = 80
ROWS: Final = 4
#: A line of a column that is filled by one, two or three thirds, and one that is exceeded.
_THIRDS: Final = "_o#"
_FULL: Final = "|"
_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))


def graph(kind: str, samples: Sequence[Sample], most: int, now: int) -> str:
    """A column for each moment, the oldest first, with how long ago it was; ``most``: the longest of all, in
    milliseconds. As Redis draws it."""
    heights = [sample.milliseconds for sample in samples]
    low, high = min(heights), max(heights)
    head = f"{kind} - high {high} ms, low {low} ms (all time high {most} ms)\n{'-' * COLUMNS}\n"
    parts = [samples[start : start + COLUMNS] for start in range(0, len(samples), COLUMNS)]
    return head + "\n".join(_drawn(part, low, high, now) for part in parts)


def _drawn(samples: Sequence[Sample], low: int, high: int, now: int) -> str:
    steps = len(_THIRDS) * ROWS
    thirds = [
        min(int((sample.milliseconds - low) * steps / ((high - low) or 1)), steps - 1) for sample in samples
    ]
    lines = ["".join(_third(third - row * len(_THIRDS)) for third in thirds) for row in reversed(range(ROWS))]
    lines.append(" " * len(samples))
    ages = [_age(now - sample.time) for sample in samples]
    deepest = max(map(len, ages))
    lines += ["".join(line) for line in zip(*(age.ljust(deepest) for age in ages), strict=True)]
    return "".join(f"{line}\n" for line in lines)


def _third(above: int) -> str:
    """What stands in a line of which a column fills one third more than this."""
    if above < 0:
        return " "
    return _THIRDS[above] if above < len(_THIRDS) else _FULL


def _age(seconds: int) -> str:
    """``7s``, ``3m``: in the largest unit of which there is one."""
    size, unit = next(((size, unit) for size, unit in _UNITS if seconds >= size), (1, "s"))
    return f"{seconds // size}{unit}"


def report(latency: Latency, slower_than: int, now: int) -> str:
    """What took long, how often, and how to find out why. ``slower_than``: the microseconds from which on the
    slow log notes a command. The figures are Redis', the words are ours."""
    kinds = latency.latest()
    if not kinds:
        if not latency.threshold:
            return (
                "Nothing is watched: CONFIG SET latency-monitor-threshold <milliseconds> begins to note "
                "which commands take so long.\n"
            )
        return f"No latency spike of {latency.threshold} ms or more was observed.\n"
    lines = ["Latency spikes were observed:", ""]
    for number, (kind, _, _, most) in enumerate(kinds, 1):
        lines.append(f"{number}. {kind}: {_figures(latency.history(str(kind)), now)} {most}ms.")
    lines += ["", "To find the cause:", ""]
    wanted = (latency.threshold or 1) * 1000
    if not 0 <= slower_than <= wanted:
        lines.append(f"- The slow log notes less than this: CONFIG SET slowlog-log-slower-than {wanted}")
    lines.append("- SLOWLOG GET names the commands, and the clients that said them.")
    lines.append(
        "- Listings (KEYS, SCAN with a large COUNT) and commands with many keys run in steps: they take "
        "long, and hold up nobody else."
    )
    return "".join(f"{line}\n" for line in lines)


def _figures(samples: Sequence[Sample], now: int) -> str:
    took = [sample.milliseconds for sample in samples]
    mean = sum(took) // len(took)
    deviation = sum(abs(mean - one) for one in took) // len(took)
    period = max(1, now - samples[0].time) / len(took)
    return (
        f"{len(took)} latency spikes (average {mean}ms, mean deviation {deviation}ms, "
        f"period {period:.2f} sec). Worst all time event"
    )
