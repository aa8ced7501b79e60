"""Many contacts at once: soon they are everywhere, and none is missing, both ways.

How soon, and beside Kamailio alone: ``python -m bench.registrations``.
"""

import pytest

from bench.registrations import both_ways, spread
from tests.interop.releases import DEFAULT, RELEASES

pytestmark = pytest.mark.interop

CONTACTS = 3000


def test_a_thousand_on_either_of_two_registrars_are_on_the_other_and_in_dmqcache() -> None:
    assert len(spread(DEFAULT, 1000, runs=2)) == 2


def test_who_joins_and_who_begins_anew_has_them_all() -> None:
    there, back = both_ways(RELEASES["6.1"], CONTACTS)
    assert (there.arrived, back.arrived) == (CONTACTS, CONTACTS)
