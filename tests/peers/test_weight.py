"""What is counted for a record's memory is what it takes, about, and never less."""

from __future__ import annotations

import tracemalloc

import pytest

from dmqcache.peers.contact import Contact
from dmqcache.peers.subscription import SubscriptionKey
from dmqcache.peers.usrloc_wire import read_usrloc
from dmqcache.peers.weight import weight
from tests.peers.recordings import bodies

COPIES = 200


def test_each_part_counts() -> None:
    assert weight("x" * 1000) - weight("") == 1000
    assert weight("\udc80" * 1000) - weight("") > 1999
    assert weight({"a": {"b": "x" * 500}, "c": 1}) > 500 + weight("a") + weight(1)
    assert weight(SubscriptionKey("x" * 300, "", "t")) > 300 + weight("")
    assert weight(Contact({"aor": "x" * 700}, "sip:n")) > 700 + weight("sip:n")


@pytest.mark.parametrize("release", ["6.2+5.6", "6.2.0-dev1"])
def test_it_is_what_a_contact_takes(release: str) -> None:
    body = next(body for body in bodies(release, "usrloc") if b'"ruid"' in body)
    tracemalloc.start()
    contacts = [Contact(read_usrloc(body)[0].fields, f"sip:127.0.0.1:{number}") for number in range(COPIES)]
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    counted = sum(map(weight, contacts))
    assert taken <= counted < 3 * taken
