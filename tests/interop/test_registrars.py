"""Registrars that know of each other through a dmqcache node alone: who starts gets the others' contacts.

A Kamailio asks for contacts once, when it gets its first list of nodes.
"""

import pytest

from tests.interop.daemon import wait_until
from tests.interop.dmqcache_node import DmqcacheNode
from tests.interop.kamailio import Kamailio
from tests.interop.releases import RELEASES

pytestmark = pytest.mark.interop

USERS = [f"user{number}" for number in range(20)]
JOIN_TIMEOUT_S = 30.0
CONTACTS_TIMEOUT_S = 30.0


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("line", tuple(RELEASES))
def test_a_registrar_that_joins_through_dmqcache_alone_gets_all_contacts(line: str, transport: str) -> None:
    node = DmqcacheNode("127.0.84.11", transport=transport)
    first, second = (
        Kamailio(
            host,
            release=RELEASES[line],
            seeds=[node.uri],
            transport=transport,
            registrar=True,
            ping_interval=60,
        )
        for host in ("127.0.84.12", "127.0.84.13")
    )
    with node, first:
        first.wait_nodes([node.uri, first.uri], JOIN_TIMEOUT_S)
        for user in USERS:
            first.register(user)
        with second:
            _wait_contacts(second)
            # The same for one that was there before.
            second.restart()
            _wait_contacts(second)


def _wait_contacts(registrar: Kamailio) -> None:
    wait_until(
        lambda: all(map(registrar.has_contact, USERS)),
        CONTACTS_TIMEOUT_S,
        lambda: f"{len(USERS)} contacts, not {_count(registrar)}\n{registrar.diagnosis()}",
    )


def _count(registrar: Kamailio) -> int:
    return sum(map(registrar.has_contact, USERS))
