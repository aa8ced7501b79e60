"""Registrars beside a node with ``--peer usrloc``: it knows all contacts, and gives them back."""

from collections.abc import Iterator

import pytest

from tests.interop.daemon import wait_until
from tests.interop.dmqcache_node import DmqcacheNode
from tests.interop.kamailio import Kamailio
from tests.interop.releases import RELEASES

pytestmark = [pytest.mark.interop, pytest.mark.parametrize("line", tuple(RELEASES), scope="module")]

NET = "127.0.85."
USERS = [f"user{number}" for number in range(20)]
LATER = [f"later{number}" for number in range(5)]
JOIN_TIMEOUT_S = 30.0
CONTACTS_TIMEOUT_S = 30.0


class Registrars:
    """A dmqcache node, and two registrars that were told of it alone."""

    def __init__(self, line: str) -> None:
        seeds = [f"sip:{NET}12:5060"]
        self.node = DmqcacheNode(f"{NET}11", seeds=seeds, extra=["--peer", "usrloc"])
        self.one, self.other = (
            Kamailio(host, release=RELEASES[line], seeds=[self.node.uri], registrar=True, ping_interval=20)
            for host in (f"{NET}12", f"{NET}13")
        )

    def wait_contacts(self, *users: str) -> None:
        """Until all three have these contacts."""

        def missing() -> dict[str, list[str]]:
            known = {row["aor"] for row in self.node.contacts().values()}
            found = {"dmqcache": [user for user in users if user not in known]}
            for name, registrar in (("one", self.one), ("other", self.other)):
                if registrar.running:
                    found[name] = [user for user in users if not registrar.has_contact(user)]
            return {name: lacking for name, lacking in found.items() if lacking}

        wait_until(
            lambda: not missing(),
            CONTACTS_TIMEOUT_S,
            lambda: f"all contacts; missing {missing()}\n{self.one.diagnosis()}\n{self.node.diagnosis()}",
        )


@pytest.fixture(scope="module")
def registrars(line: str) -> Iterator[Registrars]:
    registrars = Registrars(line)
    with registrars.node, registrars.one:
        registrars.one.wait_nodes([registrars.node.uri, registrars.one.uri], JOIN_TIMEOUT_S)
        for user in USERS:
            registrars.one.register(user)
        yield registrars
        registrars.other.close()


def test_contacts_are_known_with_all_their_fields(registrars: Registrars) -> None:
    registrars.wait_contacts(*USERS)
    row = registrars.node.contacts("user3")["user3 sip:user3@192.0.2.7:5070"]
    assert 3500 < row["expires_s"] <= 3600 and row["node"] == registrars.one.uri
    assert row["fields"]["callid"] == "user3@phone"


def test_who_comes_and_was_told_of_dmqcache_alone_gets_all(registrars: Registrars) -> None:
    registrars.other.start()
    registrars.wait_contacts(*USERS)


def test_what_is_registered_refreshed_and_removed_on_either_is_followed(registrars: Registrars) -> None:
    for number, user in enumerate(LATER):
        (registrars.one, registrars.other)[number % 2].register(user)
    registrars.wait_contacts(*LATER)
    registrars.other.register(LATER[0], expires=7200, cseq=2)
    contact = f"{LATER[0]} sip:{LATER[0]}@192.0.2.7:5070"
    wait_until(
        lambda: registrars.node.contacts().get(contact, {}).get("expires_s", 0) > 3700,
        CONTACTS_TIMEOUT_S,
        registrars.node.diagnosis,
    )
    registrars.one.register(LATER[1], expires=0, cseq=2)
    wait_until(lambda: not registrars.node.contacts(LATER[1]), CONTACTS_TIMEOUT_S, registrars.node.diagnosis)


def test_a_registrar_that_is_killed_has_all_back_from_dmqcache_alone(registrars: Registrars) -> None:
    registrars.other.kill()
    registrars.one.kill()
    registrars.one.restart()
    registrars.wait_contacts(*USERS, LATER[0])
    registrars.other.restart()
    registrars.wait_contacts(*USERS, LATER[0])
    assert not registrars.one.has_contact(LATER[1])


def test_a_dmqcache_node_that_is_killed_asks_the_registrars(registrars: Registrars) -> None:
    registrars.node.kill()
    registrars.node.restart()
    registrars.wait_contacts(*USERS, LATER[0])
    assert registrars.node.metric("dmqcache_mirror_refused_total", channel="usrloc") == 0
