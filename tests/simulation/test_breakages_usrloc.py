"""The same as ``test_breakages.py`` for registrations: the campaign finds what is broken on purpose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dmqcache.peers import usrloc_peer
from dmqcache.peers.contact import Contact
from dmqcache.peers.usrloc_healing import UsrlocHealing
from dmqcache.peers.usrloc_occasions import Occasions
from dmqcache.peers.usrloc_peer import UsrlocPeer
from dmqcache.peers.usrloc_wire import UsrlocAction, write_contact
from tests.simulation.campaign import run_seed

#: Seeds within which something must be found.
SEEDS = 60

Patch = pytest.MonkeyPatch


def a_contact_is_refreshed_that_nobody_refreshed(patch: Patch) -> None:
    def wrong(*args: Any, told: Any = usrloc_peer.told) -> Contact:
        after: Contact = told(*args)
        return Contact({**after.fields, "expires": 0}, after.node)

    patch.setattr(usrloc_peer, "told", wrong)


def what_expires_is_told_as_removed(patch: Patch) -> None:
    def wrong(self: UsrlocPeer, key: str, record: Contact, now: float) -> None:
        assert self.bus is not None
        self.bus.bcast_message(self, write_contact(record.fields, UsrlocAction.REMOVE))

    patch.setattr(UsrlocPeer, "over", wrong)
    # It is early, too.
    patch.setattr(Contact, "over_at", property(lambda self: (self.expires or 1 << 40) - 10))


def a_removal_is_not_heard(patch: Patch) -> None:
    patch.setattr(UsrlocPeer, "_remove", lambda self, word, now: None)


def a_removal_is_forgotten_at_once(patch: Patch) -> None:
    patch.setattr(UsrlocPeer, "_removed", lambda self, key, contact: None)


def who_lacks_contacts_is_not_told_them(patch: Patch) -> None:
    patch.setattr(UsrlocPeer, "tell", lambda self, node, keys: None)
    patch.setattr(UsrlocPeer, "bodies", lambda self, node: iter(()))


def whatever_a_node_lacks_counts_as_removed(patch: Patch) -> None:
    def wrong(self: UsrlocHealing, look: Any) -> Any:
        return (key for key in self._peer.known() if key not in look.shown)

    def second(self: UsrlocHealing, look: Any, lacking: list[str]) -> None:
        for key in lacking:
            self._peer.follow(key, look.node)

    patch.setattr(UsrlocHealing, "_lacking_of_its_own", wrong)
    patch.setattr(UsrlocHealing, "_second", second)


def nobody_is_asked_once_more(patch: Patch) -> None:
    patch.setattr(Occasions, "_tick", lambda self, runtime: None)


@pytest.mark.parametrize(
    ("breakage", "first"),
    [
        (a_contact_is_refreshed_that_nobody_refreshed, 10),
        (what_expires_is_told_as_removed, 20),
        (a_removal_is_not_heard, 5),
        (a_removal_is_forgotten_at_once, 23),
        (who_lacks_contacts_is_not_told_them, 5),
        (whatever_a_node_lacks_counts_as_removed, 10),
        (nobody_is_asked_once_more, 10),
    ],
)
def test_the_campaign_notices(breakage: Callable[[Patch], None], first: int, monkeypatch: Patch) -> None:
    """``first``: the seed that noticed it first."""
    breakage(monkeypatch)
    seeds = (first, *range(SEEDS))
    seed = next(seed for seed in seeds if run_seed(seed, usrloc=True).problems)
    monkeypatch.undo()
    assert not run_seed(seed, usrloc=True).problems
