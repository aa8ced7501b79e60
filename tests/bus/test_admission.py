"""Unless it is told otherwise, everybody may be a node."""

from __future__ import annotations

from dmqcache.bus.admission import Admission
from dmqcache.bus.sip.uri import Endpoint


def test_by_default_everybody_may_be_a_node_and_shows_nothing() -> None:
    admission = Admission()
    assert admission.allows("192.0.2.1")
    assert admission.covers(Endpoint("tls", "192.0.2.1", 5061), "node.example")
