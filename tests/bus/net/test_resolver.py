"""Names to addresses: never blocking, always answering, remembering for a while."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from dmqcache.bus.net import resolver as module
from dmqcache.bus.net.resolver import CACHE_SECONDS, NEGATIVE_CACHE_SECONDS, THREADS, AsyncResolver
from dmqcache.bus.runtime import Resolver
from dmqcache.bus.sip.uri import Endpoint, NodeURI
from tests.bus.net.loops import Loop, both_loops, run, turns
from tests.waiting import until

NAME = NodeURI("node.example.org", 5080, "tcp")


class Names:
    """A name service of which the test holds every string."""

    def __init__(self, **addresses: Sequence[str]) -> None:
        self.addresses: dict[str, Sequence[str]] = {NAME.host: ["192.0.2.7", "2001:db8::7"], **addresses}
        self.asked: list[str] = []
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        self.gate.wait(10)
        if host not in self.addresses:
            raise OSError("no such name")
        return self.addresses[host]


class Asker:
    """A resolver and all that it answered."""

    def __init__(self, names: Names, timeout: float = 10.0) -> None:
        self.time = 1000.0
        self.answers: list[list[Endpoint]] = []
        self.resolver = AsyncResolver(timeout=timeout, lookup=names, now=lambda: self.time)

    def ask(self, uri: NodeURI = NAME) -> None:
        before = len(self.answers)
        self.resolver.resolve(uri, self.answers.append)
        assert len(self.answers) == before, "never from inside the call"

    async def answer(self, uri: NodeURI = NAME) -> list[Endpoint]:
        before = len(self.answers)
        self.ask(uri)
        await until(lambda: len(self.answers) > before)
        return self.answers[-1]


BOTH = [Endpoint("tcp", "192.0.2.7", 5080), Endpoint("tcp", "2001:db8::7", 5080)]


@both_loops
def test_a_name_gives_all_its_addresses_with_the_nodes_port_and_transport(loop: Loop) -> None:
    async def main() -> None:
        asker = Asker(Names())
        assert await asker.answer() == BOTH
        other = NodeURI(NAME.host, 5060)
        assert await asker.answer(other) == [
            Endpoint("udp", "192.0.2.7", 5060),
            Endpoint("udp", "2001:db8::7", 5060),
        ]

    run(loop, main())


@both_loops
@pytest.mark.parametrize("host", ["192.0.2.1", "::1"])
def test_an_address_is_its_own_answer_and_asks_nobody(loop: Loop, host: str) -> None:
    async def main() -> None:
        names = Names()
        assert await Asker(names).answer(NodeURI(host, 5060)) == [Endpoint("udp", host, 5060)]
        assert names.asked == []

    run(loop, main())


@both_loops
def test_the_loop_goes_on_while_a_name_is_looked_up(loop: Loop) -> None:
    async def main() -> None:
        names = Names()
        names.gate.clear()
        asker = Asker(names)
        asker.ask()
        await until(lambda: names.asked)
        await turns(20)
        assert asker.answers == []
        names.gate.set()
        await until(lambda: asker.answers)
        assert asker.answers == [BOTH]

    run(loop, main())


def test_askers_of_one_name_share_a_lookup() -> None:
    async def main() -> None:
        names = Names()
        names.gate.clear()
        asker = Asker(names)
        for _ in range(5):
            asker.ask()
        await until(lambda: names.asked)
        names.gate.set()
        await until(lambda: len(asker.answers) == 5)
        assert asker.answers == [BOTH] * 5
        assert names.asked == [NAME.host]

    asyncio.run(main())


def test_an_answer_is_remembered_and_then_asked_for_again() -> None:
    async def main() -> None:
        names = Names()
        asker = Asker(names)
        await asker.answer()
        names.addresses[NAME.host] = ["192.0.2.8"]
        asker.time += CACHE_SECONDS - 1
        assert await asker.answer() == BOTH
        assert len(names.asked) == 1
        asker.time += 1
        assert await asker.answer() == [Endpoint("tcp", "192.0.2.8", 5080)]
        assert len(names.asked) == 2

    asyncio.run(main())


def test_nothing_is_remembered_for_a_shorter_time() -> None:
    async def main() -> None:
        names = Names()
        addresses = names.addresses.pop(NAME.host)
        asker = Asker(names)
        assert await asker.answer() == []
        names.addresses[NAME.host] = addresses
        asker.time += NEGATIVE_CACHE_SECONDS - 1
        assert await asker.answer() == []
        assert len(names.asked) == 1
        asker.time += 1
        assert await asker.answer() == BOTH

    asyncio.run(main())


@pytest.mark.parametrize("error", [OSError("no"), UnicodeError("label too long"), ValueError("a bug")])
def test_an_error_is_an_empty_answer(error: Exception) -> None:
    def lookup(host: str) -> list[str]:
        raise error

    async def main() -> None:
        answers: list[list[Endpoint]] = []
        AsyncResolver(lookup=lookup).resolve(NAME, answers.append)
        await until(lambda: answers)
        assert answers == [[]]

    asyncio.run(main())


@both_loops
def test_a_hanging_lookup_is_answered_in_time_and_its_late_answer_kept(loop: Loop) -> None:
    async def main() -> None:
        names = Names()
        names.gate.clear()
        asker = Asker(names, timeout=0.02)
        assert await asker.answer() == []
        names.gate.set()
        await until(lambda: asker.resolver._threads == 0)
        assert await asker.answer() == BOTH
        assert len(names.asked) == 1

    run(loop, main())


def test_who_finds_the_queue_of_lookups_full_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING_NAMES", 5)

    async def main() -> None:
        names = Names()
        names.gate.clear()
        asker = Asker(names, timeout=60)
        for number in range(THREADS + 5 + 3):
            asker.ask(NodeURI(f"n{number}.example.org", 5060))
        await turns()
        assert asker.answers == [[]] * 3
        asker.resolver.close()
        names.gate.set()

    asyncio.run(main())


def test_hanging_lookups_take_a_bounded_number_of_threads_and_nobody_waits_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "WAITING_NAMES", 5)

    async def main() -> None:
        names = Names()
        names.gate.clear()
        asker = Asker(names, timeout=0.1)
        asked = THREADS + 5
        for number in range(asked):
            asker.ask(NodeURI(f"n{number}.example.org", 5060))
        await until(lambda: len(asker.answers) == asked)
        # Each thread is begun; that it runs may take longer than its lookup may.
        await until(lambda: len(names.asked) >= THREADS)
        assert len(names.asked) == THREADS
        names.gate.set()
        await until(lambda: asker.resolver._threads == 0)
        asker.time += NEGATIVE_CACHE_SECONDS
        assert await asker.answer() == BOTH

    asyncio.run(main())


def test_the_memory_for_names_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CACHE_NAMES", 4)

    async def main() -> None:
        names = Names(**{f"n{number}": ["192.0.2.9"] for number in range(10)})
        asker = Asker(names)
        for number in range(10):
            await asker.answer(NodeURI(f"n{number}", 5060))
        assert len(asker.resolver._cache) == 4
        await asker.answer(NodeURI("n9", 5060))
        assert len(names.asked) == 10

    asyncio.run(main())


def test_close_answers_whoever_waits() -> None:
    async def main() -> None:
        names = Names()
        names.gate.clear()
        asker = Asker(names)
        asker.ask()
        asker.resolver.close()
        await until(lambda: asker.answers)
        asker.ask(NodeURI("another.example.org", 5060))
        await until(lambda: len(asker.answers) == 2)
        assert asker.answers == [[], []]
        names.gate.set()

    asyncio.run(main())


def test_an_answer_after_the_loops_end_harms_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    problems: list[object] = []
    monkeypatch.setattr(threading, "excepthook", problems.append)
    names = Names()
    names.gate.clear()

    async def main() -> None:
        Asker(names).ask()
        await until(lambda: names.asked)

    asyncio.run(main())
    names.gate.set()
    for thread in threading.enumerate():
        if thread.name.startswith("resolve "):
            thread.join(10)
    assert problems == []


def test_the_systems_own_names_resolve() -> None:
    async def main() -> None:
        resolver: Resolver = AsyncResolver()
        answers: list[list[Endpoint]] = []
        resolver.resolve(NodeURI("localhost", 5060), answers.append)
        await until(lambda: answers)
        assert {endpoint.host for endpoint in answers[0]} & {"127.0.0.1", "::1"}
        assert len(set(answers[0])) == len(answers[0])

    asyncio.run(main())


def test_behind_the_name_of_a_service_are_hosts_with_ports_of_their_own() -> None:
    async def main() -> None:
        names = Names(**{"a.example": ["192.0.2.1", "192.0.2.2"]})
        services = {
            "_sip._udp.kam.example": [("a.example", 5070), ("gone.example", 5060), ("a.example", 5070)]
        }
        answers: list[list[Endpoint]] = []
        resolver = AsyncResolver(lookup=names, srv=services.__getitem__)
        resolver.resolve(NodeURI("_sip._udp.kam.example", 5060), answers.append)
        await until(lambda: bool(answers))
        assert answers == [[Endpoint("udp", "192.0.2.1", 5070), Endpoint("udp", "192.0.2.2", 5070)]]
        resolver.close()

    asyncio.run(main())


def test_names_without_end_are_a_line_a_minute(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever sends chooses the name that he calls himself by."""
    monkeypatch.setattr(module, "WAITING_NAMES", 5)

    async def main() -> None:
        names = Names()
        names.gate.clear()
        asker = Asker(names, timeout=0.02)
        for minute in (1, 2):
            answered = len(asker.answers)
            for number in range(THREADS + 5 + 20):
                asker.ask(NodeURI(f"n{number}.of-{minute}.example.org", 5060))
            await until(lambda wanted=answered + THREADS + 25: len(asker.answers) == wanted)  # type: ignore[misc]
            assert len([text for text in caplog.messages if "too many names" in text]) == minute
            assert len([text for text in caplog.messages if "did not resolve" in text]) == minute
            asker.time += 61
        names.gate.set()
        await until(lambda: asker.resolver._threads == 0)

    asyncio.run(main())
