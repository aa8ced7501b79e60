"""What a drop means: every reason that the bus counts has its kind, and none that it does not count."""

from __future__ import annotations

import re
from pathlib import Path

from dmqcache.bus.net import failure, handshakes
from dmqcache.bus.sip.headers import REASONS_FOR_DROP
from dmqcache.bus.trust.signature import DROPPED
from dmqcache.metrics.drops import KINDS, DropKind, kind_of

ROOT = Path(__file__).parents[2]
#: What the system says of an address becomes a reason with the transport before it.
SYSTEM = {value for name, value in vars(failure).items() if name.isupper() and isinstance(value, str)} - {
    failure.SHUT,
    failure.FRAMING,
}


def reasons() -> set[str]:
    """The reasons that stand in the source of the bus, by whichever call they are counted."""
    source = "\n".join(path.read_text() for path in sorted((ROOT / "dmqcache" / "bus").rglob("*.py")))
    found = set(re.findall(r'drops\["(\w+)"', source)) | set(REASONS_FOR_DROP)
    found |= set(re.findall(r'_refuse\((?:[^()]|\([^()]*\))*?"(\w+)"', source))
    found |= set(re.findall(r'drops\["late_reply" if .* else "(\w+)"\]', source))
    found |= {str(verdict.value) for verdict in DROPPED}
    found |= {handshakes.TOO_MANY, handshakes.TOO_SLOW, handshakes.FAILED}
    found |= set(re.findall(r'else "(bad_uri|message_too_large)"', source))
    return found


def test_every_reason_has_a_kind() -> None:
    found = reasons()
    assert len(found) > 40
    assert found - set(KINDS) == set(), "a new reason: say in metrics/drops.py what it means to an operator"


def test_no_kind_speaks_of_a_reason_that_nobody_counts() -> None:
    made = {f"{transport}_{word}" for transport in ("udp", "tcp") for word in SYSTEM}
    assert set(KINDS) - reasons() - made == set()


def test_operations_sort_the_reasons_alike() -> None:
    """Each reason stands in docs/operations.md under the heading of its kind."""
    text = (ROOT / "docs" / "operations.md").read_text().partition("\n## Reasons of drops\n")[2]
    sections = re.split(r"\n### .*?`(\w+)`\n", text.partition("\n## ")[0])
    assert sections[1::2] == [str(kind) for kind in DropKind]
    for kind, listed in zip(sections[1::2], sections[2::2], strict=True):
        named = set(re.findall(r"`(\w+)`", "\n".join(re.findall(r"^\| (.*?) \|", listed, re.MULTILINE))))
        assert named == {reason for reason, its in KINDS.items() if its == kind}, kind


def test_what_nobody_has_sorted_is_a_fault() -> None:
    assert kind_of("a_reason_of_tomorrow") is DropKind.FAULT
    assert kind_of("undeliverable") is DropKind.NODE_DOWN
