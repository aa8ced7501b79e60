"""Contacts as keys that can only be read: what clients get, what they are refused, and what they are told."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from dmqcache.peers import mirror
from dmqcache.peers.contact import Contact
from dmqcache.peers.usrloc_peer import UsrlocPeer
from dmqcache.server.resp.contact_keys import READ_ONLY
from dmqcache.server.resp.key_events import parse_letters
from dmqcache.server.resp.server import RespServer
from dmqcache.server.resp.session import Session
from dmqcache.server.resp.users import make_users
from dmqcache.store.table.evicting import CELL_BYTES
from tests.peers.stage import THERE, Stage
from tests.server.fakes import FakeNode, FakeTime, make_session
from tests.server.resp.saying import OK, say
from tests.server.resp.test_subscriptions import Client


class StageTime(FakeTime):
    """The time of a stage."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def now(self) -> float:
        return self._stage.cluster.clock.time

    def wall(self) -> float:
        return 1_700_000_000 + self._stage.cluster.clock.time


class World:
    """A registrar, the peer that hears it, and a client whose database is that of the contacts."""

    def __init__(self, *tables: str) -> None:
        self.peer = UsrlocPeer()
        self.stage = Stage(self.peer)
        self.node = FakeNode(*tables, time=StageTime(self.stage))
        self.node.peers = {"usrloc": self.peer}
        self.session: Session = make_session(self.node)

    def register(self, user: str = "alice", seconds: int = 600, **fields: object) -> None:
        said = {"action": 1, "aor": user, "ruid": f"u-{user}", "c": f"sip:{user}@192.0.2.9", "callid": "c"}
        said |= {"expires": self.stage.wall + seconds, "last_modified": self.stage.wall, "cseq": 1}
        assert self.stage.say(said | fields) == 200

    def say(self, *args: str) -> Any:
        return say(self.session, *args)


@pytest.fixture
def world() -> World:
    world = World()
    assert world.say("SELECT", "usrloc") == OK
    return world


# -- reading ------------------------------------------------------------------------------------------------


def test_an_address_of_record_is_a_key_with_its_contacts_as_json(world: World) -> None:
    world.register()
    world.register(ruid="u-2", c="sip:alice@192.0.2.10", seconds=60, user_agent="Phone")
    first, second = json.loads(world.say("GET", "usrloc:alice"))
    assert (first["contact"], first["expires"]) == ("sip:alice@192.0.2.9", world.stage.wall + 600 - 1)
    assert (second["user_agent"], second["node"]) == ("Phone", f"sip:{THERE}:5060")
    assert second["fields"]["ruid"] == "u-2"
    assert world.say("GET", "usrloc:bob") is None and world.say("GET", "alice") is None
    assert world.say("EXISTS", "usrloc:alice", "usrloc:bob") == 1
    assert world.say("TYPE", "usrloc:alice") == "string"
    assert 597 <= world.say("TTL", "usrloc:alice") <= 600, "until the last of them expires"
    assert world.say("EXPIRETIME", "usrloc:alice") in (first["expires"], first["expires"] + 1)
    assert world.say("STRLEN", "usrloc:alice") == len(world.say("GET", "usrloc:alice"))
    assert world.say("MGET", "usrloc:alice", "x")[1] is None


def test_what_is_told_about_a_key_is_about_its_contacts(world: World) -> None:
    world.register()
    size = world.say("STRLEN", "usrloc:alice")
    assert world.say("OBJECT", "ENCODING", "usrloc:alice") == "raw"
    assert world.say("OBJECT", "IDLETIME", "usrloc:alice") == 0
    world.stage.run(75)
    assert world.say("OBJECT", "IDLETIME", "usrloc:alice") == 75
    assert world.say("MEMORY", "USAGE", "usrloc:alice") == CELL_BYTES + len("usrloc:alice") + size


def test_keys_are_listed_counted_and_permanent_ones_never_expire(world: World) -> None:
    world.register()
    world.register("bob", expires=0)
    world.register("b\u00fc")
    assert world.say("DBSIZE") == 3
    assert world.say("KEYS", "*") == ["usrloc:alice", "usrloc:bob", "usrloc:b\u00fc"]
    assert world.say("SCAN", "0", "MATCH", "usrloc:b*") == ["0", ["usrloc:bob", "usrloc:b\u00fc"]]
    assert world.say("DMQ.SCAN", "0")[1][::3] == world.say("KEYS", "*")
    assert (world.say("TTL", "usrloc:bob"), world.say("TTL", "usrloc:x")) == (-1, -2)
    assert world.say("RANDOMKEY").startswith("usrloc:")
    assert "db2:keys=3,expires=2" in world.say("INFO", "keyspace")
    assert world.say("CONFIG", "GET", "databases") == ["databases", "3"]


def test_a_key_lasts_as_long_as_the_contact_that_lasts_longest(world: World) -> None:
    """Whatever becomes of this one and of others, and however many there are."""

    def left() -> int:
        return round(int(world.say("EXPIRETIME", "usrloc:alice")) - began)

    began = world.stage.wall
    for number, seconds in enumerate((100, 300, 200, 300)):
        world.register(ruid=f"u-{number}", expires=began + seconds)
    assert left() == 300
    world.register(ruid="u-1", expires=began + 150)
    assert left() == 300
    world.register(ruid="u-3", expires=began + 50)
    assert left() == 200
    world.register(ruid="u-4", expires=0)
    assert world.say("TTL", "usrloc:alice") == -1
    world.register(user="bob", ruid="u-4", expires=began + 400)
    assert left() == 200
    world.register(ruid="u-2", action=2)
    assert left() == 150
    world.stage.run(160)
    assert (world.say("EXISTS", "usrloc:alice"), world.say("EXISTS", "usrloc:bob")) == (0, 1)


def test_of_many_contacts_of_one_address_few_are_looked_at_when_one_changes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked, each = 0, UsrlocPeer.each_contact

    def counted(peer: UsrlocPeer, aor: str = "") -> Iterator[Contact]:
        nonlocal looked
        for one in each(peer, aor):
            looked += 1
            yield one

    monkeypatch.setattr(UsrlocPeer, "each_contact", counted)
    for number in range(200):
        said = {"action": 1, "aor": "trunk", "ruid": f"u-{number}", "c": "sip:t@192.0.2.9", "callid": "c"}
        said |= {"expires": world.stage.wall + 600 + number, "last_modified": world.stage.wall}
        world.peer.hear(json.dumps(said).encode(), world.stage.wall)
    assert looked <= 200
    for number in range(200):
        said = {"action": 2, "aor": "trunk", "ruid": f"u-{number}", "c": "sip:t@192.0.2.9", "callid": "c"}
        world.peer.hear(json.dumps(said).encode(), world.stage.wall)
    assert looked <= 400 and world.say("EXISTS", "usrloc:trunk") == 0


def test_it_stands_behind_the_tables_and_its_number_is_the_last(world: World) -> None:
    world.register()
    assert (world.session.index, world.say("SELECT", "0"), world.say("GET", "usrloc:alice")) == (2, OK, None)
    assert (world.say("SELECT", "2"), world.say("EXISTS", "usrloc:alice")) == (OK, 1)
    assert world.say("SELECT", "3") == "ERR DB index is out of range, the tables are cache, users, usrloc"


def test_without_the_peer_there_is_no_such_database_and_a_table_of_the_name_stays_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert say(make_session(), "SELECT", "usrloc").startswith("ERR no table 'usrloc'")
    with caplog.at_level(logging.WARNING):
        world = World("usrloc", "users")
    assert "a table is named usrloc" in caplog.text
    assert (world.say("SET", "usrloc:alice", "x"), world.say("GET", "usrloc:alice")) == (OK, "x")


# -- writing ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        *("SET usrloc:bob x", "DEL usrloc:alice", "DEL usrloc:bob", "EXPIRE usrloc:alice 5", "FLUSHDB"),
        *("PERSIST usrloc:alice", "INCR n", "APPEND usrloc:alice x", "SETBIT k 1 1", "MSET a x b y"),
        *("RENAME usrloc:alice x", "MOVE usrloc:alice cache", "COPY usrloc:alice x", "GETDEL usrloc:alice"),
        *("DMQ.REMOVE regex name .", "SETRANGE usrloc:alice 1 x", "EXPIRE usrloc:bob 5"),
    ],
)
def test_writes_are_refused(world: World, line: str) -> None:
    world.register()
    before = world.say("GET", "usrloc:alice")
    assert world.say(*line.split()) == READ_ONLY
    assert world.say("GET", "usrloc:alice") == before
    assert world.say("DBSIZE") == 1


def test_from_another_database_nothing_comes_in_and_what_is_read_may_go_out(world: World) -> None:
    world.register()
    assert world.say("COPY", "usrloc:alice", "copied", "DB", "cache") == 1
    assert world.say("SELECT", "cache") == OK
    assert json.loads(world.say("GET", "copied"))[0]["aor"] == "alice"
    assert world.say("COPY", "copied", "x", "DB", "usrloc") == READ_ONLY
    assert world.say("MOVE", "copied", "usrloc") == READ_ONLY
    assert world.say("EXISTS", "copied") == 1
    assert world.say("FLUSHALL") == OK
    assert (world.say("DBSIZE"), world.say("SELECT", "usrloc"), world.say("DBSIZE")) == (0, OK, 1)
    assert world.say("SET", "a", "x") == READ_ONLY
    assert (world.say("RESET"), world.say("SET", "a", "x")) == ("RESET", OK)


def test_in_a_transaction_a_write_is_refused_at_once_or_when_it_is_run(world: World) -> None:
    world.register()
    assert (world.say("MULTI"), world.say("SET", "a", "x")) == (OK, READ_ONLY)
    assert world.say("EXEC").startswith("EXECABORT")
    world.say("SELECT", "cache")
    for line in ("MULTI", "SELECT usrloc", "SET a x", "EXISTS usrloc:alice"):
        world.say(*line.split())
    chosen, refused, there = world.say("EXEC")
    assert (chosen, str(refused), there) == (OK, READ_ONLY, 1)


def test_a_transaction_that_watches_is_given_up_when_a_contact_changed(world: World) -> None:
    world.register()
    for change, changed in ((lambda: None, False), (lambda: world.register(cseq=2), True)):
        world.say("WATCH", "usrloc:alice")
        change()
        world.say("MULTI")
        world.say("GET", "usrloc:alice")
        assert (world.say("EXEC") is None) is changed


def test_the_rules_of_users_count(world: World) -> None:
    world.register()
    world.session.shared.users = make_users(
        None,
        "user default off\nuser all on >x %R~usrloc:* +@all\nuser other on >x ~call-* +@all\n"
        "user tables on >x ~* +@all table=cache\n",
    )
    for name, said in (("all", 1), ("other", 0), ("tables", 0)):
        world.session.become(world.session.shared.users.by_name[name])
        assert (world.say("GET", "usrloc:alice") or "").startswith("NOPERM") is not bool(said), name
    world.session.become(world.session.shared.users.by_name["all"])
    assert world.say("DEL", "usrloc:alice").startswith("NOPERM")


# -- events -------------------------------------------------------------------------------------------------


class Heard(World):
    """The same, with somebody who subscribes to all events."""

    def __init__(self) -> None:
        super().__init__()
        shared = self.session.shared
        shared.key_events.tell(parse_letters("KEAn"))
        self.client = Client()
        shared.subscriptions.subscribe_pattern(self.client, "__key*")

    def events(self) -> list[str]:
        """The events since the last look, and that they are told by both kinds of channels."""
        parts = [data.decode().split("\r\n") for data in self.client.got]
        self.client.got.clear()
        said = [(one[-4], one[-2]) for one in parts]
        by_key = [event for name, event in said if name == "__keyspace@2__:usrloc:alice"]
        by_event = [name.rpartition(":")[2] for name, key in said if key == "usrloc:alice"]
        assert by_key == by_event and len(said) == len(by_key) + len(by_event)
        return by_key


def test_registration_refresh_removal_and_expiry_are_told() -> None:
    world = Heard()
    world.register(seconds=60)
    assert world.events() == ["new", "set", "expire"]
    world.register(seconds=90, cseq=2)
    world.register(seconds=900, ruid="u-2")
    assert world.events() == ["set", "expire"] * 2
    world.register(seconds=900, ruid="u-2", action=2)
    assert world.events() == ["set", "expire"], "one is left, for a shorter time"
    world.register(seconds=90, cseq=2, action=2)
    assert world.events() == ["del"]
    world.stage.run(700)
    world.register(seconds=60)
    world.events()
    world.stage.run(30)
    assert world.events() == []
    world.stage.run(40)
    assert world.events() == ["expired"]
    world.register(expires=0, ruid="u-4")
    assert world.events() == ["new", "set"]


def test_an_expiry_that_somebody_reads_is_told_once_and_leaves_no_trace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mirror, "SWEEP_S", 100.0)
    world = Heard()
    world.say("SELECT", "usrloc")
    world.register(seconds=60)
    world.stage.run(65)
    world.events()
    assert world.say("EXISTS", "usrloc:alice") == 0
    assert (world.events(), world.peer.counts.left) == (["expired"], 0)
    world.stage.run(100)
    assert (world.events(), world.peer.counts.left) == ([], 1)
    assert (world.session.table.cells, len(world.session.table.tombstones)) == ({}, 0)
    assert "expired_keys:1" in world.say("INFO", "stats")


def test_who_watches_gets_the_latest_state(world: World) -> None:
    world.say("SELECT", "usrloc")
    told: list[tuple[str, bool]] = []
    world.session.table.subscribe(lambda change: told.append((change.key, change.value is not None)))
    world.register()
    world.register(action=2)
    world.stage.run(1)
    assert told == [("usrloc:alice", True), ("usrloc:alice", False)]


def test_after_the_end_nothing_is_kept_up_and_what_is_no_key_has_none(world: World) -> None:
    world.register("x" * 5000)
    world.register("\udcc3\udca9", ruid="u-2")  # the bytes of another text
    assert (world.say("DBSIZE"), len(world.peer.contacts())) == (0, 2)
    world.register()
    again = make_session(world.node)
    assert [say(again, "SELECT", "usrloc"), say(again, "DBSIZE")] == [OK, 1], "who comes later has all"
    for keys in world.session.shared.read_only.values():
        keys.close()
    world.register("bob")
    assert (world.say("DBSIZE"), say(again, "DBSIZE")) == (1, 2)


def test_a_server_that_closes_keeps_nothing_up() -> None:
    world = World()

    async def run() -> None:
        server = RespServer(world.node, "127.0.0.1", 0)
        await server.start()
        await server.close()

    before = len(world.peer._listeners)
    asyncio.run(run())
    assert len(world.peer._listeners) == before
