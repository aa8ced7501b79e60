"""Contacts and calls by JSON-RPC: the results of a Kamailio 5.6.3 that was told of the same on the bus.

``tests/interop/test_rpc_beside_kamailio.py`` holds them against a real one.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from dmqcache.peers.dialog_peer import DialogPeer
from dmqcache.peers.usrloc_peer import UsrlocPeer
from dmqcache.server.http import rpc_mirrors
from dmqcache.server.http.rpc import answer
from dmqcache.server.http.rpc_methods import methods_of
from tests.peers.recordings import bodies
from tests.server.http.calling import call, fail
from tests.server.served import ServedNode

CAROL: dict[str, Any] = {
    "action": 1,
    "aor": "carol",
    "ruid": "uloc-1",
    "c": "sip:carol@192.0.2.7:5070",
    "received": "",
    "path": "",
    "callid": "c1",
    "user_agent": "Phone/1",
    "instance": "<urn:uuid:1>",
    "cseq": 7,
    "flags": 0,
    "cflags": 0,
    "q": 500,
    "last_modified": 1_795_748_061,
    "methods": 4_294_967_295,
    "reg_id": 2,
    "server_id": 0,
}
#: As the 5.6.3 showed it.
SHOWN = {
    "Address": "sip:carol@192.0.2.7:5070",
    "Q": 0.5,
    "Call-ID": "c1",
    "CSeq": 7,
    "User-Agent": "Phone/1",
    "Received": "[not set]",
    "Path": "[not set]",
    "State": "CS_NEW",
    "Flags": 0,
    "CFlags": 0,
    "Socket": "[not set]",
    "Methods": 4_294_967_295,
    "Ruid": "uloc-1",
    "Instance": "<urn:uuid:1>",
    "Reg-Id": 2,
    "Server-Id": 0,
    "Tcpconn-Id": -1,
    "Keepalive": 0,
    "Last-Keepalive": 1_795_748_061,
    "KA-Roundtrip": 0,
    "Last-Modified": 1_795_748_061,
}


def registrar() -> tuple[ServedNode, UsrlocPeer]:
    node, peer = ServedNode(), UsrlocPeer()
    node.peers = {"usrloc": peer}
    return node, peer


def register(peer: UsrlocPeer, **fields: object) -> None:
    said = CAROL | {"expires": int(time.time()) + 600} | fields
    peer.hear(json.dumps(said).encode(), time.time())


def test_without_their_peers_there_are_no_such_methods() -> None:
    assert fail(ServedNode(), "ul.dump") == (404, -32601, "Method Not Found")
    assert fail(ServedNode(), "dlg.list") == (404, -32601, "Method Not Found")
    node, _ = registrar()
    assert "ul.lookup" in call(node, "system.listMethods")
    assert fail(node, "ul.rm", "location", "carol") == (404, -32601, "Method Not Found")


def test_one_address_of_record() -> None:
    node, peer = registrar()
    register(peer)
    register(peer, ruid="uloc-2", expires=0, q=-1, sock="udp:192.0.2.1:5060", user_agent="")
    found = call(node, "ul.lookup", "location", "carol")
    first, second = (one["Contact"] for one in found["Contacts"])
    assert 595 < first.pop("Expires") <= 600
    assert (found["AoR"], first) == ("carol", SHOWN)
    assert (second["Expires"], second["Q"], second["Socket"]) == ("permanent", -1, "udp:192.0.2.1:5060")
    assert second["User-Agent"] == "[not set]"


def test_one_is_found_as_kamcli_and_kamailio_spell_it() -> None:
    node, peer = registrar()
    register(peer)
    register(peer, aor="Dave@example.com", ruid="uloc-9")
    for spelt in ("carol@example.com", "CAROL", "Carol@Example.com"):
        assert call(node, "ul.lookup", "location", spelt)["AoR"] == "carol"
    assert call(node, "ul.lookup", "location", "Dave@example.com")["AoR"] == "Dave@example.com"
    assert fail(node, "ul.lookup", "location", "dave")[:2] == (500, 500)


@pytest.mark.parametrize("aor", ["", "@", "@example.com"])
def test_nobody_is_found_under_no_name(aor: str) -> None:
    node, peer = registrar()
    register(peer)
    assert fail(node, "ul.lookup", "location", aor) == (500, 500, "AOR not found in location table")


def test_who_is_not_there_is_an_error() -> None:
    node, _ = registrar()
    assert fail(node, "ul.lookup", "location", "carol") == (500, 500, "AOR not found in location table")
    assert fail(node, "ul.lookup", "nothing", "carol") == (500, 500, "Domain table not found")
    assert fail(node, "ul.lookup", "location") == (500, 500, "Not enough parameters (table, AOR)")
    assert fail(node, "ul.db_users", "nothing") == (500, 500, "Domain table not found")


def test_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc_mirrors, "STEP", 1)
    node, peer = registrar()

    def dumped(*params: str) -> dict[str, Any]:
        (domain,) = call(node, "ul.dump", *params)["Domains"]
        found: dict[str, Any] = domain["Domain"]
        return found

    empty = {"Domain": "location", "Size": 1, "AoRs": [], "Stats": {"Records": 0, "Max-Slots": 0}}
    assert dumped() == empty
    register(peer)
    register(peer, aor="d\udcff", ruid="uloc-3")
    register(peer, aor="d\udcff", ruid="uloc-4")
    assert [one["Info"]["AoR"] for one in dumped()["AoRs"]] == ["carol", "d\udcff"]
    assert [len(one["Info"]["Contacts"]) for one in dumped()["AoRs"]] == [1, 2]
    assert dumped("brief")["AoRs"] == [{"AoR": "carol"}, {"AoR": "d\udcff"}]
    assert dumped()["Stats"]["Records"] == 2
    assert (call(node, "ul.db_users", "location"), call(node, "ul.db_contacts", "location")) == (2, 3)


# -- calls -----------------------------------------------------------------------------------


def proxy() -> tuple[ServedNode, DialogPeer]:
    """With a call that goes on and one that rings, both heard of now, and some that have ended."""
    node, peer = ServedNode(), DialogPeer()
    node.peers = {"dialog": peer}
    now = int(time.time())
    for body in bodies("6.0.1", "dialog", "127.0.0.82"):
        said = json.loads(body)
        for name in ("init_ts", "start_ts"):
            if said.get(name):
                said[name] = now - 75
        peer.hear(json.dumps(said).encode(), now)
    return node, peer


def test_calls_as_a_kamailio_lists_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc_mirrors, "STEP", 1)
    node, peer = proxy()
    listed = call(node, "dlg.list")
    assert len(listed) == len(peer.calls()) == 2
    talking = next(one for one in listed if one["state"] == 4)
    known = peer.call(talking["call-id"])
    assert known is not None
    assert 75 <= talking["duration"] < 80
    assert talking["timeout"] == talking["start_ts"] + talking["lifetime"]
    assert talking["caller"] == {
        "tag": known.fields["tag1"],
        "contact": known.fields["contact1"],
        "cseq": known.fields["cseq1"],
        "route_set": known.fields["route_set1"],
        "socket": None,
    }
    assert talking["callee"]["tag"] == known.fields["tag2"]
    assert {"caller": known.from_uri} in talking["profiles"] and "outbound" in talking["profiles"]
    assert talking["variables"] == [{name: value} for name, value in known.variables.items()]
    ringing = next(one for one in listed if one["state"] == 2)
    assert (ringing["duration"], ringing["timeout"], ringing["start_ts"]) == (0, 0, 0)
    assert set(ringing["callee"].values()) == {None}
    assert call(node, "dlg.stats_active") == {
        "starting": 0,
        "connecting": 1,
        "answering": 0,
        "ongoing": 1,
        "all": 2,
    }


def test_one_call() -> None:
    node, peer = proxy()
    talking = next(one for one in peer.calls() if one.answered)
    ringing = next(one for one in peer.calls() if not one.answered)
    tags = (talking.fields["tag1"], talking.fields["tag2"])
    assert call(node, "dlg.dlg_list", talking.call_id)["from_uri"] == talking.from_uri
    assert call(node, "dlg.dlg_list", talking.call_id, tags[0])["h_id"] == talking.key.h_id
    assert call(node, "dlg.dlg_list", talking.call_id, tags[1]) == {}
    assert call(node, "dlg.dlg_list", "nobody's") == {}
    assert call(node, "dlg.is_alive", talking.call_id, *tags) == "Alive"
    for strange in (("a", *tags), (talking.call_id, "x", tags[1]), (talking.call_id, tags[0], "x")):
        assert fail(node, "dlg.is_alive", *strange) == (404, 404, "Dialog not found")
    rings = (ringing.call_id, ringing.fields["tag1"], "x")
    assert fail(node, "dlg.is_alive", *rings) == (500, 500, "Dialog not in confirmed state")


def test_calls_that_match() -> None:
    node, peer = proxy()
    first, second = peer.calls()

    def matched(*params: object) -> list[str]:
        return [one["call-id"] for one in call(node, "dlg.list_match", *params)]

    both = [first.call_id, second.call_id]
    assert matched("furi", "re", "^sip:.*example") == matched("turi", "sw", "sip:") == both
    assert matched("ruri", "re", ".") == matched("furi", "re", ".", 0) == both
    assert matched("furi", "re", ".", 1) == [first.call_id]
    assert matched("callid", "eq", second.call_id) == [second.call_id]
    for params, said in (
        (("nokey", "re", "a"), (500, 500, "Invalid matching key parameter")),
        (("furi", "xx", "a"), (500, 500, "Invalid matching operator parameter")),
        (("furi", "re", "["), (500, 500, "Invalid matching value parameter")),
        (("ruri", "eq", "x"), (404, 404, "Not found")),
    ):
        assert fail(node, "dlg.list_match", *params) == said


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("dlg.profile_get_size", ["unheard"]),
        ("dlg.profile_list", ["unheard"]),
        ("dlg.dlg_list", ["unheard"]),
        ("dlg.list_match", ["callid", "eq", "unheard"]),
    ],
)
def test_others_have_their_turn_though_nothing_is_found(
    monkeypatch: pytest.MonkeyPatch, method: str, params: list[str]
) -> None:
    monkeypatch.setattr(rpc_mirrors, "STEP", 1)
    node, peer = proxy()
    assert turns(node, method, params) >= len(peer.calls())


@pytest.mark.parametrize(("method", "params"), [("ul.lookup", ["location", "trunk"]), ("ul.dump", [])])
def test_others_have_their_turn_between_the_contacts_of_one_address(
    monkeypatch: pytest.MonkeyPatch, method: str, params: list[str]
) -> None:
    monkeypatch.setattr(rpc_mirrors, "STEP", 1)
    node, peer = registrar()
    for number in range(20):
        register(peer, aor="trunk", ruid=f"uloc-{number}")
    assert turns(node, method, params) >= 20


def turns(node: ServedNode, method: str, params: list[str]) -> int:
    """How often others had their turn while this was answered."""
    body = json.dumps({"jsonrpc": "2.0", "method": method, "params": params, "id": 1}).encode()

    async def ask() -> int:
        async def say() -> None:
            found = await answer(methods_of(node, "0.1.0"), body)
            assert found.pieces is not None
            assert [piece async for piece in found.pieces]

        task, count = asyncio.ensure_future(say()), -1  # the first one begins it
        while not task.done():
            count += 1
            await asyncio.sleep(0)
        await task
        return count

    return asyncio.run(ask())


def test_profiles() -> None:
    node, peer = proxy()
    caller = peer.calls()[0].from_uri
    assert call(node, "dlg.profile_get_size", "outbound") == 2
    assert call(node, "dlg.profile_get_size", "caller", "nobody") == 0
    assert call(node, "dlg.profile_get_size", "unheard") == 0
    assert {one["from_uri"] for one in call(node, "dlg.profile_list", "caller", caller)} == {caller}
    assert len(call(node, "dlg.profile_list", "caller")) == 2
    assert call(node, "dlg.profile_list", "unheard") == []
