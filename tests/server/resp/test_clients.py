"""What clients may take together."""

from __future__ import annotations

import pytest

from dmqcache.server.resp import clients as module
from dmqcache.server.resp.clients import Clients
from tests.server.fakes import make_session


class FakeClient:
    def __init__(self) -> None:
        self.held = 0
        self.ended: list[str] = []
        self.closed = False

    def end(self, reason: str) -> None:
        self.ended.append(reason)

    def close(self) -> None:
        self.closed = True


def make_clients(count: int) -> tuple[Clients, list[FakeClient]]:
    shared = make_session().shared
    shared.max_clients = count
    clients, some = Clients(shared), [FakeClient() for _ in range(count)]
    assert all(map(clients.admit, some))
    return clients, some


def test_one_too_many_is_not_admitted() -> None:
    clients, (first, second) = make_clients(2)
    assert not clients.admit(FakeClient())
    clients.forget(second)
    assert clients.admit(FakeClient()) and len(clients) == 2
    clients.close()
    assert first.closed and not second.closed


def test_where_too_much_is_held_for_all_the_largest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_HELD_BYTES", 100)
    clients, (small, large, last) = make_clients(3)
    clients.hold(small, 30)
    clients.hold(large, 60)
    clients.hold(small, 20)
    clients.hold(last, 20)
    assert not large.ended
    clients.hold(last, 21)
    assert (small.ended, large.ended, last.ended) == ([], ["memory"], [])
    clients.hold(last, 80)  # there is room again
    assert not last.ended
    clients.forget(large)
    clients.hold(small, 21)
    assert last.ended == ["memory"]
