"""Runs of the campaign in which phones register with Kamailio nodes and dmqcache nodes follow that."""

from __future__ import annotations

import pytest

from tests.simulation.campaign import failing, run_seed
from tests.simulation.faults import draw

#: Seeds of one test.
CHUNK = 6


@pytest.mark.parametrize("first", (0, CHUNK))
def test_all_hold_the_same_contacts_whatever_happens(first: int) -> None:
    failed = failing(range(first, first + CHUNK), usrloc=True)
    if failed:
        pytest.fail(f"{failed}", pytrace=False)


def test_registrations_change_no_other_run() -> None:
    plain, drawn = draw(3, 3, True), draw(3, 3, True, usrloc=True)
    assert not plain.usrloc and not any("phone" in event.what for event in plain.events)
    assert drawn.usrloc and any(event.what == "phone_registers" for event in drawn.events)
    assert (plain.kinds, plain.options, plain.skews_ms) == (drawn.kinds, drawn.options, drawn.skews_ms)


def test_a_seed_gives_the_same_registrations_each_time() -> None:
    one, two = (run_seed(6, usrloc=True) for _ in range(2))
    assert one.fingerprint == two.fingerprint and one.counts["registrations"] > 0


def test_what_a_6_2_took_late_from_another_kamailio_is_not_judged() -> None:
    """A 6.1 sets a key twice, and the 6.2 hears the second first: it shows the first, as written later."""
    assert run_seed(500_000, usrloc=True).problems == []


def test_to_make_a_key_last_for_ever_that_does_so_already_is_no_write() -> None:
    """A delete of the moment before, on a node whose clock is behind, holds."""
    assert run_seed(510, usrloc=True).problems == []


def test_what_a_node_alone_has_that_stands_still_on_its_way_out_is_not_asked_for_in_the_end() -> None:
    assert run_seed(7_000_302, usrloc=True).problems == []


def test_a_copy_that_comes_after_both_stood_still_for_long_may_be_handled_again() -> None:
    """A Kamailio that was stopped for 25 s repeats what a node, stopped after that for 36 s, had answered."""
    assert run_seed(7_000_341, usrloc=True).problems == []


def test_what_a_registrar_that_stood_still_undoes_on_another_is_healed_within_the_time_that_is_said() -> None:
    """It answers an old question with what it knew before it was stopped."""
    assert run_seed(7_001_297, usrloc=True).problems == []


def test_what_kamailio_nodes_alone_make_of_registrations_is_not_judged() -> None:
    assert run_seed(7_001_342, usrloc=True).problems == []
