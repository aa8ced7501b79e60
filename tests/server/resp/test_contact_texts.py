"""The texts of contacts: made once, contact by contact, kept within a bound, and always what is so now."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from dmqcache.peers.contact import Contact
from dmqcache.server.resp import contact_texts
from dmqcache.server.resp.contact_texts import PIECE
from dmqcache.server.resp.long_reply import joined
from tests.server.resp.saying import OK
from tests.server.resp.test_contact_keys import World
from tests.server.resp.test_steps import turns


class Trunks(World):
    """Addresses of record with many contacts, and a count of the texts that are made of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.made = 0
        lasting = Contact.lasting

        def counted(contact: Contact) -> dict[str, Any]:
            self.made += 1
            return lasting(contact)

        monkeypatch.setattr(Contact, "lasting", counted)
        assert self.say("SELECT", "usrloc") == OK

    def hear(self, aor: str, number: int, action: int = 1, **fields: object) -> None:
        said = {"action": action, "aor": aor, "ruid": f"u-{number}", "c": "sip:t@192.0.2.9", "callid": "c"}
        said |= {"expires": self.stage.wall + 600, "last_modified": self.stage.wall, "cseq": 1}
        self.peer.hear(json.dumps(said | fields).encode(), self.stage.wall)

    def register_many(self, aor: str, count: int) -> None:
        for number in range(count):
            self.hear(aor, number, ruid=f"u-{aor}-{number}")

    def ruids(self, aor: str) -> list[str]:
        shown = self.say("GET", f"usrloc:{aor}")
        return [] if shown is None else [one["fields"]["ruid"] for one in json.loads(shown)]


@pytest.fixture
def trunks(monkeypatch: pytest.MonkeyPatch) -> Trunks:
    return Trunks(monkeypatch)


def test_a_text_is_made_once_however_often_it_is_read(trunks: Trunks) -> None:
    trunks.register_many("trunk", 100)
    first = trunks.say("GET", "usrloc:trunk")
    assert trunks.made == 100
    assert trunks.say("MGET", *["usrloc:trunk"] * 50) == [first] * 50
    assert trunks.say("STRLEN", "usrloc:trunk") == len(first)
    assert trunks.say("EXISTS", "usrloc:trunk") == 1
    assert trunks.made == 100


def test_of_a_contact_that_changes_only_its_own_text_is_made_anew(trunks: Trunks) -> None:
    for number in range(5):
        trunks.hear("trunk", number)
    assert trunks.ruids("trunk") == ["u-0", "u-1", "u-2", "u-3", "u-4"]
    trunks.hear("trunk", 2, cseq=2, user_agent="new")
    shown = json.loads(trunks.say("GET", "usrloc:trunk"))
    assert [one["user_agent"] for one in shown] == ["", "", "new", "", ""]
    trunks.hear("trunk", 1, action=2)
    trunks.hear("trunk", 5)
    trunks.hear("other", 3, cseq=2)
    assert trunks.ruids("trunk") == ["u-0", "u-2", "u-4", "u-5"]
    assert trunks.made == 5 + 1 + 1
    assert trunks.ruids("other") == ["u-3"]


def test_a_contact_that_has_expired_is_in_no_list(trunks: Trunks) -> None:
    """Before it is swept too."""
    trunks.hear("trunk", 0, expires=trunks.stage.wall + 100)
    trunks.hear("trunk", 1, expires=trunks.stage.wall + 200)
    trunks.hear("trunk", 2, expires=0)
    for seconds, left in ((0, 3), (99, 3), (1, 2), (100, 1), (5000, 1)):
        trunks.stage.run(seconds)
        assert len(trunks.ruids("trunk")) == left
    assert trunks.made == 3


def test_it_is_always_what_the_contacts_are(trunks: Trunks) -> None:
    chosen = random.Random(7)
    for _ in range(400):
        action = chosen.choice((1, 1, 1, 2))
        ends = chosen.choice((0, trunks.stage.wall + chosen.randrange(1, 40)))
        agent = str(chosen.random())
        trunks.hear(chosen.choice("ab"), chosen.randrange(8), action, expires=ends, user_agent=agent)
        trunks.stage.run(chosen.choice((0, 0, 0.3, 1)))
        for aor in "ab":
            if chosen.random() < 0.5:
                there = [one.lasting() for one in trunks.peer.each_contact(aor)]
                shown = json.loads(trunks.say("GET", f"usrloc:{aor}") or "[]")
                assert sorted(shown, key=str) == sorted(there, key=str)


def test_what_is_kept_is_bounded(trunks: Trunks, monkeypatch: pytest.MonkeyPatch) -> None:
    for aor in "abc":
        trunks.register_many(aor, 10)
    trunks.ruids("a")
    size = trunks.session.table._texts._bytes  # type: ignore[attr-defined]
    assert size > 10 * 300
    monkeypatch.setattr(contact_texts, "MOST_BYTES", 2 * size)
    trunks.ruids("b")
    assert trunks.made == 20
    trunks.ruids("a")
    trunks.ruids("c")
    assert trunks.made == 30
    trunks.ruids("a")
    assert trunks.made == 30, "a was read later than b"
    trunks.ruids("b")
    assert trunks.made == 40
    texts = trunks.session.table._texts  # type: ignore[attr-defined]
    assert (len(texts._all), texts._bytes) == (2, 2 * size)
    monkeypatch.setattr(contact_texts, "MOST_BYTES", 1)
    trunks.ruids("b")
    trunks.ruids("b")
    assert (trunks.made, len(texts._all), texts._bytes) == (40, 1, size), "the last one is kept in any case"


def test_sizes_are_counted_down_when_contacts_go(trunks: Trunks) -> None:
    trunks.register_many("a", 1)
    trunks.ruids("a")
    texts = trunks.session.table._texts  # type: ignore[attr-defined]
    size = texts._bytes
    trunks.register_many("a", 10)
    trunks.ruids("a")
    assert texts._bytes > size
    for number in range(1, 10):
        trunks.hear("a", number, 2, ruid=f"u-a-{number}")
    trunks.ruids("a")
    assert texts._bytes == size


# -- in steps -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    ["GET usrloc:trunk", "MGET usrloc:trunk usrloc:trunk", "GETRANGE usrloc:trunk 0 5", "DMQ.SCAN 0"],
)
def test_many_contacts_are_put_together_in_steps(
    trunks: Trunks, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    monkeypatch.setattr("dmqcache.bus.loop_steps.STEP_S", 0.0)
    trunks.register_many("trunk", 10 * PIECE)
    seen = [0]

    def between(turn: int) -> None:
        assert trunks.made - seen[-1] <= 2 * PIECE
        seen.append(trunks.made)

    assert turns(trunks.session, *line.split(), between=between) >= 10
    assert trunks.made == 10 * PIECE


def test_what_changes_meanwhile_is_told_as_it_is_then(
    trunks: Trunks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dmqcache.bus.loop_steps.STEP_S", 0.0)
    trunks.register_many("trunk", 4 * PIECE)
    reply: Any = trunks.session.shared.execute(trunks.session, ["GET", "usrloc:trunk"])
    reply.send(None)
    trunks.hear("trunk", 0, 2, ruid="u-trunk-0")
    trunks.hear("trunk", 0, 2, ruid=f"u-trunk-{4 * PIECE - 1}")
    trunks.hear("trunk", 0, 1, ruid="u-new")
    trunks.hear("trunk", 0, 1, ruid="u-trunk-1", user_agent="new")
    with pytest.raises(StopIteration) as end:
        while True:
            reply.send(None)
    shown = json.loads(joined(end.value.value).split(b"\r\n")[1])
    assert [one["fields"]["ruid"] for one in shown] == [
        *(f"u-trunk-{number}" for number in range(1, 4 * PIECE - 1)),
        "u-new",
    ]
    assert shown[0]["user_agent"] == "new"
    assert trunks.made <= 4 * PIECE + 2


def test_what_a_transaction_reads_is_put_together_before_it(
    trunks: Trunks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dmqcache.bus.loop_steps.STEP_S", 0.0)
    trunks.register_many("trunk", 10 * PIECE)
    trunks.say("MULTI")
    trunks.say("get", "usrloc:trunk")
    assert turns(trunks.session, "EXEC") >= 10
    assert trunks.made == 10 * PIECE
    trunks.say("MULTI")
    trunks.say("nosuch")
    assert trunks.say("EXEC").startswith("EXECABORT")


def test_one_who_leaves_meanwhile_is_told_nothing(trunks: Trunks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dmqcache.bus.loop_steps.STEP_S", 0.0)
    trunks.register_many("trunk", 10 * PIECE)
    reply: Any = trunks.session.shared.execute(trunks.session, ["GET", "usrloc:trunk"])
    reply.send(None)
    trunks.session.closing = True
    with pytest.raises(StopIteration) as end:
        reply.send(None)
    assert (end.value.value, trunks.made < 4 * PIECE) == (b"", True)
