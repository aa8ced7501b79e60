"""The model's contacts are said as a Kamailio's, to the byte; and it takes what recorded nodes took."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.peers.recordings import FOLDER, USRLOC
from tests.simulation.kamailio_sip import Request, Response
from tests.simulation.kamailio_sip import read as read_sip
from tests.simulation.kamailio_usrloc import (
    BATCH_CONTACTS,
    FIELDS,
    OPTIONAL,
    SYNC_BODY,
    Fields,
    KamailioUsrloc,
    read,
    write,
    write_batch,
)

each_recording = pytest.mark.parametrize("release", USRLOC)
NOW_MS = 1_700_000_000_000


def recorded(release: str) -> list[Request | Response]:
    """What was said on the channel, and what was answered."""
    lines = (FOLDER / f"kamailio-{release}-usrloc.jsonl").read_text().splitlines()
    return [read_sip(json.loads(line)["datagram"].encode("latin-1")) for line in lines]


def requests(release: str) -> list[Request]:
    return [one for one in recorded(release) if isinstance(one, Request) and one.channel == "usrloc"]


class Told:
    """A registrar, and what it has told."""

    def __init__(self, version: tuple[int, int] = (5, 6)) -> None:
        self.bodies: list[bytes] = []
        self.now_ms = NOW_MS
        self.usrloc = KamailioUsrloc(
            version, "t", lambda: self.now_ms, lambda ruid, body: self.bodies.append(body)
        )

    def hears(self, body: bytes, sync: Callable[[], None] = lambda: None) -> int:
        return self.usrloc.read(body, sync)


@each_recording
def test_what_is_read_is_written_again_to_the_byte(release: str) -> None:
    batches = 0
    for request in requests(release):
        words = read(request.body)
        assert words
        batched = request.body.startswith(b'{"multi"')
        batches += batched
        assert (write_batch(words) if batched else write(words[0])) == request.body
    assert batches or release == "6.2.0-dev1"


@each_recording
def test_its_own_contacts_have_the_recorded_fields_in_their_order(release: str) -> None:
    told = Told()
    ruid = told.usrloc.register("alice", "sip:alice@127.0.0.99", 600)
    told.usrloc.refresh(ruid, 600)
    told.usrloc.remove(ruid)
    assert [word["action"] for body in told.bodies for word in read(body) or ()] == [1, 1, 2]
    order = ["action", *FIELDS]
    for words in (*map(read, told.bodies), *(read(request.body) for request in requests(release))):
        for word in words or ():
            named = [name for name in word if name not in OPTIONAL]
            assert named == (["action"] if word["action"] == 3 else order)
            assert all(isinstance(word[name], type(kind)) for name, kind in FIELDS.items() if name in word)


@each_recording
def test_it_answers_as_the_recorded_nodes_did_and_holds_what_they_gave_later(release: str) -> None:
    messages = recorded(release)
    software = {one.from_.node: one.agent for one in messages if isinstance(one, Request) and one.agent}
    answers = {one.call_id: one.status for one in messages if isinstance(one, Response)}
    nodes = {node: Told((5, 6) if "(5.6" in agent else (6, 2)) for node, agent in software.items()}
    asked: list[tuple[str, str]] = []
    compared = 0
    for request in requests(release):
        receiver, sender = request.to.node, request.from_.node
        words = read(request.body) or []
        if request.body == SYNC_BODY:
            asked.append((sender, receiver))
        elif request.body.startswith(b'{"multi"') and (receiver, sender) in asked and sender in nodes:
            # What it was told, or has registered, is what it gives.
            held = nodes[sender].usrloc.contacts
            for word in words:
                compared += 1
                assert held[word["ruid"]]["aor"] == word["aor"]
        if sender in nodes and request.body != SYNC_BODY:
            nodes[sender].hears(request.body)
        if receiver in nodes and request.call_id in answers:
            assert nodes[receiver].hears(request.body) == answers[request.call_id]
    assert compared or release == "6.2.0-dev1" or not asked


def word(**fields: object) -> bytes:
    return write({"action": 1, **FIELDS, "aor": "a", "ruid": "r", "c": "sip:a@x", **fields})


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"no json", 400),
        (b'{"x":1}', 200),
        (b'{"action":9}', 400),
        (SYNC_BODY, 200),
        (word(), 200),
    ],
)
def test_bodies_are_answered_as_by_a_kamailio(body: bytes, status: int) -> None:
    assert Told().hears(body) == status


@pytest.mark.parametrize(("version", "kept"), [((5, 6), 1), ((6, 1), 1), ((6, 2), 2)])
def test_only_6_2_leaves_out_what_is_older(version: tuple[int, int], kept: int) -> None:
    told = Told(version)
    told.hears(word(last_modified=20, cseq=2))
    told.hears(word(last_modified=10, cseq=1))
    assert told.usrloc.contacts["r"]["cseq"] == kept
    told.hears(word(action=2, last_modified=5))
    assert ("r" in told.usrloc.contacts) == (kept == 2)


def test_what_has_expired_is_not_found_and_goes_without_a_word() -> None:
    told = Told()
    ruid = told.usrloc.register("a", "sip:a@x", 10)
    told.usrloc.register("b", "sip:b@x", 0)
    told.now_ms += 11_000
    assert ruid in told.usrloc.contacts and ruid not in told.usrloc.live()
    told.usrloc.sweep()
    assert [fields["aor"] for fields in told.usrloc.contacts.values()] == ["b"]
    assert len(told.bodies) == 2


def test_who_asks_gets_all_that_lives_in_batches_without_attributes() -> None:
    told = Told((6, 2))
    for number in range(BATCH_CONTACTS + 1):
        told.usrloc.register(f"a{number}", "sip:a@x", 10)
    told.hears(word(xavps={"x": 1}, expires=NOW_MS // 1000 + 5))
    asked: list[bool] = []
    assert told.hears(SYNC_BODY, lambda: asked.append(True)) == 200 and asked == [True]
    batches = [read(body) or [] for body in told.usrloc.batches()]
    assert list(map(len, batches)) == [BATCH_CONTACTS, 2]
    given: list[Fields] = [one for batch in batches for one in batch]
    assert len({one["ruid"] for one in given}) == len(given) and not any("xavps" in one for one in given)


@pytest.mark.parametrize(("version", "attributes"), [((5, 6), None), ((6, 1), {})])
def test_older_ones_tell_each_by_itself_and_what_has_expired_until_it_is_swept(
    version: tuple[int, int], attributes: object
) -> None:
    told = Told(version)
    for user in ("a", "b"):
        told.usrloc.register(user, f"sip:{user}@x", 10)
    told.now_ms += 11_000
    given = [word for body in told.usrloc.batches() for word in read(body) or []]
    assert [one["aor"] for one in given] == ["a", "b"]
    assert all(one.get("xavps") == attributes for one in given)
    told.usrloc.sweep()
    assert not list(told.usrloc.batches())
