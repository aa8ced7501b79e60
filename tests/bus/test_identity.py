"""What a node says of itself, and how large a message may be."""

from __future__ import annotations

import pytest

from dmqcache.bus.bus_settings import BusSettings
from dmqcache.bus.identity import MAX_UDP_BYTES, Identity, fits
from dmqcache.bus.sip.stream import MAX_STREAM_MESSAGE
from dmqcache.bus.sip.uri import NodeURI
from tests.bus.virtual import Clock, VirtualRuntime


def drawn(runtime: VirtualRuntime, supported: tuple[str, ...] = ("x",)) -> Identity:
    return Identity.drawn(BusSettings(NodeURI.parse("[::1]:5060"), supported=supported), runtime)


def test_two_starts_of_one_node_have_nothing_secret_in_common() -> None:
    runtime = VirtualRuntime(Clock())
    one, two = drawn(runtime), drawn(runtime)
    assert one.uri == two.uri and one.user_agent == two.user_agent
    for secret in ("instance", "call_id_prefix", "tag"):
        assert getattr(one, secret) and getattr(one, secret) != getattr(two, secret)


def test_its_requests_carry_what_it_says_of_itself() -> None:
    identity = drawn(VirtualRuntime(Clock()), supported=("a-1", "b-2"))
    author = identity.author("udp")
    assert (author.sent_by, author.from_tag, author.user_agent) == ("[::1]:5060", identity.tag, "dmqcache")
    assert author.extra == identity.extra_headers == (("Supported", "a-1, b-2"),)


def test_who_supports_nothing_says_nothing() -> None:
    assert drawn(VirtualRuntime(Clock()), supported=()).extra_headers == ()


@pytest.mark.parametrize(("transport", "most"), [("udp", MAX_UDP_BYTES), ("tcp", MAX_STREAM_MESSAGE)])
def test_a_message_fits_up_to_what_its_transport_carries(transport: str, most: int) -> None:
    assert fits(most, transport) and not fits(most + 1, transport)
