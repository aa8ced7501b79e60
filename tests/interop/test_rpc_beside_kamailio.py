"""What JSON-RPC says of contacts and calls, beside a Kamailio 5.6.3 that was told of the same on the bus; and
what a Redis client reads of contacts there, and is told of them.
"""

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import redis

from tests.interop.daemon import wait_until
from tests.interop.dmqcache_node import DmqcacheNode
from tests.interop.kamailio import Kamailio
from tests.interop.kamailio_calls import CALLS_ROUTE, calls_cfg
from tests.interop.phones import Call, Phones

pytestmark = pytest.mark.interop

NET = "127.0.58."
#: JSON-RPC over HTTP and by datagrams.
BY_DATAGRAMS = """
modparam("jsonrpcs","transport",0)
modparam("jsonrpcs","fifo_name","")
modparam("jsonrpcs","dgram_socket","{path}")
"""
TOLD_TIMEOUT_S = 20.0
#: Of a Kamailio's own memory: how often something is held, how it came there, and its hash table.
OWN = {"ref", "dflags", "sflags", "HashID", "Size", "Max-Slots"}
#: Seconds, which may differ by some: a Kamailio that is busy sees its own clock late, and is told late.
SECONDS = {"Expires", "duration", "timeout", "Last-Keepalive"}


class Beside:
    """A Kamailio with registrar and proxy, and two who hear of it: a Kamailio and a dmqcache node."""

    def __init__(self, stack: ExitStack) -> None:
        self.folder = Path(stack.enter_context(TemporaryDirectory()))
        self.sockets = str(self.folder / "kamailio"), str(self.folder / "dmqcache")

        def kamailio(number: int, *seeds: str) -> Kamailio:
            cfg = calls_cfg() + (BY_DATAGRAMS.format(path=self.sockets[0]) if seeds else "")
            more = {"registrar": True, "extra_cfg": cfg, "requests": CALLS_ROUTE}
            return stack.enter_context(Kamailio(f"{NET}{number}", seeds=seeds, ping_interval=20, **more))

        self.one = kamailio(12)
        for user, expires in (("alice", 3600), ("bob", 600)):
            self.one.register(user, expires)
        phones = stack.enter_context(Phones(f"{NET}20", (self.one.host, self.one.port)))
        self.talking, self.ringing = phones.ring(1), phones.ring(2)
        phones.answer(self.talking)
        # Only now: the workers of a 5.6.3 let words overtake each other, and it stays with the wrong one.
        self.told = kamailio(13, self.one.uri)
        peers = ["--peer", "usrloc", "--peer", "dialog", "--notify-keyspace-events", "KEAn"]
        peers += ["--rpc-socket", self.sockets[1]]
        self.node = stack.enter_context(DmqcacheNode(f"{NET}11", seeds=[self.one.uri], extra=peers))
        for each in (self.told, self.node):
            each.wait_nodes([self.one.uri, self.told.uri, self.node.uri], TOLD_TIMEOUT_S)
        for method in ("dlg.list", "ul.dump"):
            wait_until(
                lambda asked=method: _close(*self.answers(asked)),  # type: ignore[misc]
                TOLD_TIMEOUT_S,
                lambda asked=method: f"{self.answers(asked)}",  # type: ignore[misc]
            )

    def answers(self, method: str, *params: object) -> tuple[Any, Any]:
        """The Kamailio's and the node's, the status of HTTP too."""
        there = _answer(f"http://{self.told.host}:{self.told.port}/rpc", method, *params)
        return there, _answer(f"http://{self.node.host}:9180/rpc", method, *params)

    def kamcli(self, *words: str | int) -> tuple[Any, Any]:
        """What the two answer to the datagram that kamcli sends."""
        there, here = (self._by_datagram(path, *words) for path in self.sockets)
        return there, here

    def _by_datagram(self, path: str, method: str | int, *params: str | int) -> Any:
        own = self.folder / "kamcli"
        key = Path(path).name
        spelt = [str(one) if isinstance(one, int) else f'"{one}"'.replace("OWN", key) for one in params]
        lines = ["{", '  "jsonrpc": "2.0",', f'  "method": "{method}",']
        lines += ['  "params": [' + ",\n".join(spelt) + "],"] if spelt else []
        lines += ['  "store_path": "/nowhere/at/all",', '  "id": 4711', "}", ""]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.bind(str(own))
            try:
                sock.settimeout(10)
                sock.sendto("\n".join(lines).encode(), path)
                return _sorted(json.loads(sock.recv(1 << 16).decode().replace(key, "OWN")))
            finally:
                own.unlink()


def _answer(url: str, method: str, *params: object) -> Any:
    body = json.dumps({"jsonrpc": "2.0", "method": method, "params": params, "id": 1}).encode()
    try:
        with urllib.request.urlopen(url, body, timeout=10) as answer:
            return answer.status, _sorted(json.load(answer))
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)


def _sorted(value: Any) -> Any:
    """Without what is each one's own; lists have no order in Kamailio."""
    if isinstance(value, dict):
        return {name: _sorted(one) for name, one in value.items() if name not in OWN}
    if isinstance(value, list):
        return sorted(map(_sorted, value), key=lambda one: json.dumps(one, sort_keys=True))
    return value


def _close(there: Any, here: Any) -> bool:
    if isinstance(there, dict) and isinstance(here, dict):
        return there.keys() == here.keys() and all(
            abs(there[name] - here[name]) <= 3 if name in SECONDS else _close(there[name], here[name])
            for name in there
        )
    if isinstance(there, list | tuple) and isinstance(here, list | tuple):
        return len(there) == len(here) and all(map(_close, there, here))
    return bool(there == here)


@pytest.fixture(scope="module")
def beside() -> Iterator[Beside]:
    with ExitStack() as stack:
        yield Beside(stack)


def _of(call: Call) -> tuple[str, str, str]:
    return call.call_id, call.caller_tag, call.callee_tag


CASES: dict[str, Callable[[Beside], tuple[str, ...]]] = {
    "all contacts": lambda beside: ("ul.dump",),
    "all addresses of record": lambda beside: ("ul.dump", "brief"),
    "one": lambda beside: ("ul.lookup", "location", "alice"),
    "one with a domain": lambda beside: ("ul.lookup", "location", "alice@example.com"),
    "one in capitals": lambda beside: ("ul.lookup", "location", "ALICE"),
    "none": lambda beside: ("ul.lookup", "location", "nobody"),
    "none with a domain": lambda beside: ("ul.lookup", "location", "nobody@example.com"),
    "no such table": lambda beside: ("ul.lookup", "nothing", "alice"),
    "all calls": lambda beside: ("dlg.list",),
    "one call": lambda beside: ("dlg.dlg_list", beside.talking.call_id),
    "one call by its tag": lambda beside: ("dlg.dlg_list", *_of(beside.ringing)[:2]),
    "no such call": lambda beside: ("dlg.dlg_list", "nobody's"),
    "how many": lambda beside: ("dlg.stats_active",),
    "alive": lambda beside: ("dlg.is_alive", *_of(beside.talking)),
    "not answered": lambda beside: ("dlg.is_alive", *_of(beside.ringing)),
    "a wrong tag": lambda beside: ("dlg.is_alive", *_of(beside.talking)[:2], "x"),
    "a regular expression": lambda beside: ("dlg.list_match", "furi", "re", "^sip:.l"),
    "its case": lambda beside: ("dlg.list_match", "furi", "re", "^SIP:"),
    "a beginning": lambda beside: ("dlg.list_match", "turi", "sw", "sip:bob"),
    "a Call-ID": lambda beside: ("dlg.list_match", "callid", "eq", beside.ringing.call_id),
    "a Request-URI": lambda beside: ("dlg.list_match", "ruri", "re", "."),
    "no match": lambda beside: ("dlg.list_match", "ruri", "eq", "x"),
    "a strange key": lambda beside: ("dlg.list_match", "from", "re", "."),
    "a strange operator": lambda beside: ("dlg.list_match", "furi", "xx", "."),
    "no regular expression": lambda beside: ("dlg.list_match", "furi", "re", "["),
    "the size of a profile": lambda beside: ("dlg.profile_get_size", "caller"),
    "of one value": lambda beside: ("dlg.profile_get_size", "caller", "nobody"),
    "a profile": lambda beside: ("dlg.profile_list", "outbound"),
    "an empty one": lambda beside: ("dlg.profile_list", "caller", "nobody"),
}


@pytest.mark.parametrize("case", CASES)
def test_it_answers_as_a_kamailio_that_was_told_the_same(beside: Beside, case: str) -> None:
    method, *params = CASES[case](beside)
    there, here = beside.answers(method, *params)
    assert _close(there, here), (there, here)


@pytest.mark.parametrize(
    "words",
    [
        ("core.echo", "a", "b"),
        ("stats.get_statistics",),
        ("stats.get_statistics", "nope"),
        ("stats.get_statistics", "nope:"),
        ("stats.fetch",),
        ("stats.fetch", "nope"),
        ("stats.fetchn", "nope:"),
    ],
)
def test_what_says_nothing_of_the_node_itself_is_the_same(beside: Beside, words: tuple[str, ...]) -> None:
    there, here = beside.answers(*words)
    assert there == here


@pytest.mark.parametrize(
    "words",
    [
        ("core.uptime",),
        ("core.info",),
        ("stats.get_statistics", "rcv_requests"),
        ("stats.get_statistics", "rcv_replies", "rcv_replies_2xx"),
        ("stats.fetch", "rcv_requests"),
        ("stats.fetchn", "rcv_replies_4xx", "rcv_requests"),
        ("core.version",),
        ("htable.listTables",),
        ("htable.stats",),
    ],
)
def test_what_kamcli_asks_has_the_form_that_it_has_there(beside: Beside, words: tuple[str, ...]) -> None:
    there, here = beside.answers(*words)
    assert _form(there) == _form(here), (there, here)


def _form(value: Any) -> Any:
    """Names and kinds; of a text that ends in a number what stands before."""
    if isinstance(value, dict):
        return {name: _form(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_form(one) for one in value]
    return value.partition(" = ")[0] if " = " in str(value) else type(value)


#: What kamcli's commands ask, by their names, one after the other; OWN: a key that the other does not write.
KAMCLI: dict[str, tuple[str | int, ...]] = {
    "ul show": ("ul.dump",),
    "ul show --brief": ("ul.dump", "brief"),
    "ul show alice": ("ul.lookup", "location", "alice@example.com"),
    "ul show nobody": ("ul.lookup", "location", "nobody@example.com"),
    "dialog list": ("dlg.list",),
    "dialog stats_active": ("dlg.stats_active",),
    "dialog profile_list outbound": ("dlg.profile_list", "outbound"),
    "htable sets": ("htable.sets", "users", "OWN", "a text"),
    "htable get": ("htable.get", "users", "OWN"),
    "htable seti": ("htable.seti", "users", "OWN", 7),
    "htable get, a number": ("htable.get", "users", "OWN"),
    "htable get, no such key": ("htable.get", "users", "nobody"),
    "htable get, no such table": ("htable.get", "nothing", "kamcli"),
    "htable rm": ("htable.delete", "users", "OWN"),
    "htable rm, once more": ("htable.delete", "users", "OWN"),
    "htable list, no such table": ("htable.dump", "nothing"),
    "htable flush": ("htable.flush", "users"),
    "htable flush, no such table": ("htable.flush", "nothing"),
    "htable list": ("htable.dump", "users"),
    "htable store": ("htable.stored", "users"),
    "stats nope": ("stats.fetch", "nope:"),
    "nothing": ("no.such",),
}
#: Of these the form: what they say is each one's own.
KAMCLI_OWN: dict[str, tuple[str | int, ...]] = {
    "uptime": ("core.uptime",),
    "srv version": ("core.version",),
    "srv info": ("core.info",),
    "stats -s": ("stats.fetch", "rcv_requests"),
    "stats -s -n": ("stats.fetchn", "rcv_requests"),
    "htable reload": ("htable.reload", "users"),
    "htable list-tables": ("htable.listTables",),
    "htable stats": ("htable.stats",),
}


def test_what_kamcli_sends_is_answered_as_a_kamailio_answers_it(beside: Beside) -> None:
    differences = {}
    for command, words in KAMCLI.items():
        there, here = beside.kamcli(*words)
        if not _close(there, here):
            differences[command] = there, here
    for command, words in KAMCLI_OWN.items():
        there, here = beside.kamcli(*words)
        if _form(there) != _form(here):
            differences[command] = there, here
    assert not differences, "\n".join(f"{one}: {two}" for one, two in differences.items())


def test_contacts_are_keys_of_any_redis_client_and_their_changes_events(beside: Beside) -> None:
    tables = len(beside.node.rpc("htable.listTables"))
    options = {"host": beside.node.host, "port": beside.node.client_port, "db": tables}
    with redis.Redis(**options, decode_responses=True, socket_timeout=10) as client:
        (contact,) = json.loads(client.get("usrloc:alice"))
        assert (contact["contact"], contact["node"]) == ("sip:alice@192.0.2.7:5070", beside.one.uri)
        assert 3500 < client.ttl("usrloc:alice") <= 3600
        assert client.type("usrloc:alice") == "string"
        assert set(client.scan_iter("usrloc:*")) == {"usrloc:alice", "usrloc:bob"}
        with pytest.raises(redis.exceptions.ReadOnlyError):
            client.set("usrloc:alice", "x")
        with client.pubsub(ignore_subscribe_messages=True) as told:
            told.psubscribe(f"__keyspace@{tables}__:usrloc:carol")
            wait_until(lambda: told.get_message(timeout=0.1) is None, TOLD_TIMEOUT_S)
            beside.one.register("carol")
            beside.one.register("carol", expires=0, cseq=2)
            events = list[str]()
            while events[-1:] != ["del"]:
                message = told.get_message(timeout=TOLD_TIMEOUT_S)
                assert message is not None, events
                events.append(message["data"])
        assert events == ["new", "set", "expire", "del"]
