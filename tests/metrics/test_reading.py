"""How numbers become samples: nodes bounded, lost ones dated, and label values that the code really uses."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from dmqcache.bus.node import NodeStatus
from dmqcache.metrics.node_view import TURNED_AWAY
from dmqcache.metrics.reading import (
    MAX_NODES,
    ORIGINS,
    OUTCOMES,
    REFUSED,
    STATUSES,
    UNFIT,
    Reading,
    certificate_expiry,
    lost_at,
    signs,
)
from tests.metrics.scrape import values
from tests.server.served import Row, ServedNode

STORE = Path(__file__).parents[2] / "dmqcache" / "store"


def test_statuses_are_the_buses() -> None:
    assert set(STATUSES) == set(NodeStatus)


def test_a_forged_list_of_nodes_stays_small() -> None:
    node = ServedNode()
    node.rows += [Row(f"sip:10.0.{i // 250}.{i % 250}:5060", "pending", backlog=1) for i in range(1000)]
    node.rows.append(Row("sip:10.9.9.9:5060", "timeout", lost_s=5))
    found = values(node)
    assert sum(name == "dmqcache_node_up" for name, _ in found) == MAX_NODES
    # The active one and the lost one come first, so that the forged ones do not hide them.
    assert found["dmqcache_node_up", ("sip:127.0.0.12:5060",)] == 1
    assert found["dmqcache_node_up", ("sip:10.9.9.9:5060",)] == 0
    # Nothing that waits is lost from the sum.
    assert (
        sum(number for (name, _), number in found.items() if name == "dmqcache_node_outbox_changes") == 1003
    )


def test_the_time_of_a_loss_does_not_move_from_scrape_to_scrape() -> None:
    node = ServedNode()
    node.rows.append(Row("sip:127.0.0.15:5060", "timeout", lost_s=90.2))
    first = dict(lost_at(Reading(node, "", 1000.0)))
    node.rows[-1] = Row("sip:127.0.0.15:5060", "timeout", lost_s=105.3)
    assert dict(lost_at(Reading(node, "", 1015.05))) == first
    assert first["sip:127.0.0.15:5060",] == 910


def constants(function: str) -> set[str]:
    """The words that a function of the store returns."""
    found: set[str] = set()
    for path in STORE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name == function:
                returned = [one.value for one in ast.walk(node) if isinstance(one, ast.Return) and one.value]
                words = (one for value in returned for one in ast.walk(value))
                found |= {one.value for one in words if isinstance(one, ast.Constant) and one.value}
    return found


def counted(counter: str) -> set[str]:
    """The words that stand behind a table's name where the store counts."""
    source = "\n".join(path.read_text() for path in sorted(STORE.rglob("*.py")))
    return set(re.findall(rf'\b{counter}\[[^\]]*, f?"([\w{{}}]+)"\]', source))


def test_reasons_and_origins_are_those_that_the_store_counts() -> None:
    """A word that was renamed would leave its alert without a first event."""
    assert constants("carriable") == set(UNFIT)
    assert counted("withheld") <= {*UNFIT, *REFUSED}
    assert counted("changes") <= set(ORIGINS)
    source = "\n".join(path.read_text() for path in sorted(STORE.rglob("*.py")))
    assert [word for word in (*ORIGINS, *OUTCOMES) if f'"{word}"' not in source] == []
    assert 'f"answered_{status}"' in source


def test_the_first_of_several_certificates_counts() -> None:
    node = ServedNode()
    assert certificate_expiry(Reading(node, "0.1.0", 0.0)) == []
    node.bus.counters.served_certificate_expires = 2_000.0
    assert certificate_expiry(Reading(node, "0.1.0", 0.0)) == [((), 2_000.0)]
    node.bus.counters.certificate_expires = 1_000.0
    assert certificate_expiry(Reading(node, "0.1.0", 0.0)) == [((), 1_000.0)]


@pytest.mark.parametrize(
    ("key", "number"), [("yes", 1), ("no", 0), ("other", 0), ("bad", 0), ("kamailio", None), ("-", None)]
)
def test_who_signs(key: str, number: int | None) -> None:
    assert signs(Row("sip:127.0.0.12:5060", key=key)) == number


def test_who_was_turned_away_is_no_node() -> None:
    node = ServedNode()
    node.rows.append(Row("sip:127.0.0.66:5060", TURNED_AWAY, key="no"))
    assert all(row.uri != "sip:127.0.0.66:5060" for row in Reading(node, "", 1000.0).rows)
