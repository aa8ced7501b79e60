"""The simulation's model of a Kamailio beside real ones: same inputs, same replies, same tables and messages.

A socket plays another node. What it says, it says to a real Kamailio and to the model of its version; both
are then looked at. Nothing is said that a real one would not survive.
"""

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace

import pytest

from dmqcache.bus.sip.uri import Endpoint, NodeURI
from dmqcache.store.table.settings import TableSettings
from tests.interop.cluster import TABLES
from tests.interop.daemon import wait_until
from tests.interop.kamailio import Kamailio
from tests.interop.kamailio_cfg import table_names
from tests.interop.releases import RELEASES
from tests.simulation.kamailio_model import Kamailio as Model
from tests.simulation.kamailio_sip import Address, Request, Response, read, reply
from tests.simulation.kamailio_usrloc import FIELDS, SYNC_BODY, Fields, write_batch
from tests.simulation.kamailio_usrloc import read as contacts_in
from tests.simulation.runtime import VirtualRuntime, World

pytestmark = [pytest.mark.interop, pytest.mark.parametrize("line", RELEASES, scope="module")]

PLAYED, ASKED = "127.0.86.1", "127.0.86.11"
OWN_LINE = f"sip:{PLAYED}:5060;status=active\r\n".encode()
ANSWER_S = 20.0
TIME_SLACK_S = 3

Said = tuple[str, bytes]
"""A channel and a body."""


def body(**fields: object) -> bytes:
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogateescape")


def text(key: str, value: str, **more: object) -> bytes:
    return body(action=2, htname="users", cname=key, type=2, strval=value, mode=1, **more)


def number(key: str, value: int, **more: object) -> bytes:
    return body(action=2, htname="users", cname=key, type=0, intval=value, mode=1, **more)


def time_of(key: str, seconds: int, table: str = "users") -> bytes:
    return body(action=3, htname=table, cname=key, type=0, intval=seconds, mode=0)


def delete(key: str) -> bytes:
    return body(action=4, htname="users", cname=key, mode=0)


def remove(action: int, pattern: str, mode: int) -> bytes:
    return body(action=action, htname="users", type=2, strval=pattern, mode=mode)


def cell(
    key: str, value: str | int, table: str = "users", expire: int = 0, **more: object
) -> dict[str, object]:
    typed = {"type": 2, "strval": value} if isinstance(value, str) else {"type": 0, "intval": value}
    return {"htname": table, "cname": key, **typed, "expire": expire, **more}


def timed(*cells: dict[str, object]) -> Callable[[int], bytes]:
    """A batch of cells with five minutes to live, by the clock of who is told."""
    return lambda now: body(cells=[{**one, "expire": now + 300} for one in cells])


SCRIPT: tuple[bytes | Callable[[int], bytes], ...] = (
    text("a", "x"),
    text("a", "a longer text"),
    text("a", "short"),
    number("a", 7),
    number("a", -(2**31)),
    number("large", 5_000_000_000),
    text("a", "a text again"),
    text("empty", ""),
    text("quotes", '"\\ {}[]'),
    text("raw \udcff", "\udcff\udc80"),
    text("nul", "before\0after"),
    time_of("a", 500),
    text("a", "no longer"),
    time_of("a", 100),
    text("a", "a text that is longer than all before"),
    time_of("missing", 100),
    body(action=2, htname="calls", cname="c", type=0, intval=3, mode=1),
    time_of("c", 100, "calls"),
    delete("a"),
    delete("missing"),
    *(text(key, f"value of {key}") for key in ("Re1", "re2", "pre1", "pre2", "val1", "val2", "keep")),
    remove(5, "^RE[0-9]$", 0),
    remove(6, "pre", 0),
    remove(6, "PRE", 0),
    remove(5, "OF VAL1", 1),
    remove(6, "value of val2", 1),
    body(action=9, htname="users", cname="x", mode=0),
    body(action=2, htname="no-such", cname="x", type=2, strval="x", mode=1),
    text("unknown", "x", zz=1),
    text("stamped", "x", last_modified=1_700_000_000_000),
    b"no json",
    body(cells=[cell("b1", "x"), cell("b2", 5), cell("no", "x", "no-such"), cell("b3", "y", zz=1)]),
    body(cells=[cell("b1", "longer than before"), cell("b2", "a text now"), cell("keep", 1)]),
    body(cells=[]),
    body(cells=[cell("c", 9, "calls")]),
    timed(
        cell("t1", "x"),
        cell("t2", "x"),
        cell("t3", 1),
        cell("t4", 1),
        cell("t5", "long"),
        cell("c", 1, "calls"),
    ),
    timed(cell("t1", "y"), cell("t2", "longer"), cell("t3", 2), cell("t4", "x"), cell("t5", 1)),
    text("t1", "z"),
    text("t2", "even longer"),
    number("t3", 3),
    timed(cell("c2", 1, "calls"), cell("c3", "x", "calls"), cell("c4", "x", "calls")),
    body(action=2, htname="calls", cname="c2", type=0, intval=2, mode=1),
    body(action=2, htname="calls", cname="c3", type=2, strval="longer", mode=1),
    body(cells=[cell("c4", "longer", "calls")]),
)


class Player:
    """A node of the bus, played by this test over real UDP."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((PLAYED, 5060))
        self.heard: dict[str, Said] = {}
        """By Call-ID, as what is lost is said again."""

    def ask(self, request: Request) -> Response:
        """The reply to a request; all that comes before is heard."""
        self.socket.sendto(request.write(), (ASKED, 5060))
        while True:
            message = self._hear(ANSWER_S)
            if isinstance(message, Response) and message.call_id == request.call_id:
                return message

    def listen(self, seconds: float) -> None:
        """Hear until it is quiet for so long."""
        with suppress(TimeoutError):
            while True:
                self._hear(seconds)

    def _hear(self, seconds: float) -> Request | Response:
        self.socket.settimeout(seconds)
        message = read(self.socket.recv(65_535))
        if isinstance(message, Request):
            self.heard[message.call_id] = (message.channel, message.body)
            answer = reply(message, 200, "OK", "t", "", Endpoint("udp", ASKED, 5060), _answer_to(message))
            self.socket.sendto(answer.write(), (ASKED, 5060))
        return message


class Beside:
    """The model, and what it says to the played node."""

    def __init__(self, version: tuple[int, int]) -> None:
        self.world = World(1)
        self.runtime = VirtualRuntime(self.world, "k", 1)
        self.replies: list[Response] = []
        self.heard: list[Said] = []
        tables = [TableSettings.parse(table) for table in TABLES]
        own = NodeURI.parse(f"sip:{ASKED}:5060")
        self.model = Model(
            *(version, own, (), tables, self.runtime, self._hear), told_contacts=lambda body, by_ours: None
        )
        self._began = time.monotonic()

    def catch_up(self) -> None:
        """As much time passes for the model as did really."""
        self.world.run(max(0.0, time.monotonic() - self._began - self.world.now))

    def _hear(self, data: bytes, to: Endpoint) -> None:
        message = read(data)
        if isinstance(message, Response):
            self.replies.append(message)
            return
        self.heard.append((message.channel, message.body))
        answer = reply(message, 200, "OK", "t", "", Endpoint("udp", ASKED, 5060), _answer_to(message))
        self.world.call_later(0.0001, lambda: self.model.receive(answer.write(), to))

    def ask(self, request: Request) -> Response:
        self.model.receive(request.write(), Endpoint("udp", PLAYED, 5060))
        while not self.replies:
            self.world.run(0.001)
        return self.replies.pop()


def _answer_to(request: Request) -> bytes:
    return OWN_LINE if request.channel == "notification_peer" else b""


class Both:
    """A real Kamailio and the model of its version."""

    def __init__(self, real: Kamailio, player: Player, beside: Beside) -> None:
        self.real, self.player, self.beside = real, player, beside
        self._count = 0

    def ask(self, channel: str, said: bytes | Callable[[int], bytes]) -> tuple[Response, Response]:
        """What the real one answers, and the model; without what differs from node to node. `said`: the body,
        or what makes it of the time of day."""
        self._count += 1
        request = Request(
            channel,
            f"{channel}@{ASKED}:5060",
            f"SIP/2.0/UDP {PLAYED}:5060;branch=z9hG4bK{self._count}",
            Address(channel, f"{ASKED}:5060", ""),
            Address(channel, f"{PLAYED}:5060", f"tag{self._count}"),
            "10 KDMQ",
            f"{self._count:016x}-1@{PLAYED}",
            "kamailio (played)",
            1,
            "text/plain" if channel == "notification_peer" else "application/json",
            b"" if callable(said) else said,
        )
        real = model = request
        if callable(said):
            real = replace(request, body=said(int(time.time())))
            model = replace(request, body=said(self.beside.model.htable.seconds()))
        return _plain(self.player.ask(real)), _plain(self.beside.ask(model))

    def told(self, channel: str = "htable") -> tuple[list[Said], list[Said]]:
        """What both have said on a channel since this was asked last."""
        self.player.listen(0.5)
        self.beside.catch_up()
        heard = (list(self.player.heard.values()), list(self.beside.heard))
        self.player.heard.clear()
        self.beside.heard.clear()
        real, model = ([said for said in these if said[0] == channel] for these in heard)
        return real, model

    def assert_same_tables(self, after: object) -> None:
        self.beside.catch_up()
        model = self.beside.model.htable
        now = model.seconds()
        for name in table_names(TABLES):
            slots = model.tables[name].items(now)
            assert self.real.dump(name) == {key: slot.value for key, slot in slots.items()}, after
            for key, slot in slots.items():
                has_times = model.tables[name].settings.autoexpire > 0
                left = slot.expire - now if slot.expire and has_times else 0
                # For ever is 0, or so long ago as 1970.
                really = max(0, self.real.ttl(name, key) or 0)
                assert abs(really - left) <= TIME_SLACK_S, (after, key)


def _plain(response: Response) -> Response:
    to = replace(response.to, tag="")
    lines = b"".join(sorted(response.body.splitlines(True)))
    return replace(response, to=to, server="", body=lines)


@pytest.fixture(scope="module")
def both(line: str) -> Iterator[Both]:
    player = Player()
    with player.socket, Kamailio(ASKED, release=RELEASES[line], tables=TABLES, registrar=True) as real:
        major, minor = (int(word) for word in line.split("."))
        yield Both(real, player, Beside((major, minor)))


def test_the_same_inputs_have_the_same_replies_and_leave_the_same_tables(both: Both) -> None:
    for said in SCRIPT:
        real, model = both.ask("htable", said)
        assert real == model, said
        both.assert_same_tables(said)


def test_a_channel_that_nobody_has_is_refused_alike(both: Both) -> None:
    real, model = both.ask("no-such-channel", b"{}")
    assert (real.status, real.reason) == (model.status, model.reason)


def test_both_show_all_their_cells_to_a_node_that_asks(both: Both) -> None:
    """Who is not known yet is shown nothing, as all that are known are: nobody."""
    real, model = both.ask("notification_peer", OWN_LINE)
    assert real == model
    assert both.told() == ([("htable", b'{"action":1}')],) * 2
    real, model = both.ask("htable", b'{"action":1}')
    assert real == model
    cells: list[list[object]] = []
    for said in both.told():
        batches = [json.loads(body.decode("utf-8", "surrogateescape")) for _, body in said]
        shown = [cell for batch in batches for cell in batch["cells"]]
        # Each clock counts for itself.
        cells.append(sorted(([*{**one, "expire": bool(one["expire"])}.items()] for one in shown), key=repr))
    assert cells[0] == cells[1]
    assert cells[0]


def word(user: str, action: int = 1, seconds: int = 300, **fields: object) -> Callable[[int], Fields]:
    """A word on a contact, by the clock of who is told."""

    def made(now: int) -> Fields:
        said = {"aor": user, "ruid": f"uloc-{user}", "c": f"sip:{user}@192.0.2.1", "callid": f"{user}@phone"}
        times = {"expires": now + seconds, "cseq": 1, "last_modified": now}
        return {"action": action, **FIELDS, **said, "user_agent": "Phone", **times, **fields}

    return made


def contact(*args: object, **kwargs: object) -> Callable[[int], bytes]:
    made = word(*args, **kwargs)  # type: ignore[arg-type]
    return lambda now: body(**made(now))


CONTACTS: tuple[bytes | Callable[[int], bytes], ...] = (
    b"no json",
    b'{"action":9}',
    b'{"x":1}',
    contact("alice", path="<sip:edge.example.com;lr>", received="sip:192.0.2.2:5060", q=500, methods=525),
    contact("alice", cseq=2, seconds=400),
    # Only 6.2 leaves out what is older.
    contact("alice", cseq=3, last_modified=1_000_000_000, user_agent="An older word"),
    contact("bob"),
    contact("bob", 2),
    contact("nobody", 2),
    contact("carol"),
    contact("carol", 2, last_modified=1_000_000_000),
    lambda now: write_batch([word("dave")(now), word("erin", expires=0)(now)]),
    contact("gone", seconds=-20),
)


def test_the_same_registrations_have_the_same_replies_and_are_shown_alike(both: Both) -> None:
    for said in CONTACTS:
        real, model = both.ask("usrloc", said)
        assert real == model, said
    both.ask("notification_peer", OWN_LINE)
    both.told()
    real, model = both.ask("usrloc", SYNC_BODY)
    assert real == model
    shown: list[dict[str, Fields]] = []
    for told in both.told("usrloc"):
        words = [one for _, said in told for one in contacts_in(said) or () if one["action"] == 1]
        # Each clock counts for itself.
        times = ("expires", "last_modified")
        shown.append({one["ruid"]: one | {name: one[name] > 1 << 30 for name in times} for one in words})
    assert shown[0] == shown[1]
    assert {"uloc-alice", "uloc-dave", "uloc-erin"} <= shown[0].keys()


def test_a_phone_is_told_with_the_same_fields_in_the_same_order(both: Both) -> None:
    both.ask("notification_peer", OWN_LINE)
    both.told()
    both.real.register("phone")
    both.beside.model.usrloc.register("phone", "sip:phone@192.0.2.1", 300)
    told = both.told("usrloc")
    orders = [[[*one] for _, said in these for one in contacts_in(said) or ()] for these in told]
    optional = ("sock", "sockname", "xavps")
    real, model = ([[name for name in one if name not in optional] for one in these] for these in orders)
    assert real == model == [["action", *FIELDS]]


WRITES: dict[str, tuple[Callable[[Kamailio], object], Callable[[Model], object]]] = {
    "a text": (
        lambda real: real.set_str("users", "own", "x"),
        lambda model: model.htable.set("users", "own", "x"),
    ),
    "a number": (
        lambda real: real.set_int("users", "own number", -5),
        lambda model: model.htable.set("users", "own number", -5),
    ),
    "a time": (
        lambda real: real.expire("users", "own", 50),
        lambda model: model.htable.expire("users", "own", 50),
    ),
    "an increment": (
        lambda real: real.incr("calls", "own"),
        lambda model: model.htable.incr("calls", "own", 1),
    ),
    "a delete": (
        lambda real: real.delete("users", "own"),
        lambda model: model.htable.delete("users", "own"),
    ),
    "a removal": (
        lambda real: real.remove_name_regex("users", "^own"),
        lambda model: model.htable.remove("users", "^own"),
    ),
    "a flush": (
        lambda real: real.flush("users"),
        lambda model: model.htable.flush("users"),
    ),
}


@pytest.mark.parametrize("what", WRITES)
def test_what_a_script_does_is_told_alike(both: Both, what: str) -> None:
    really, in_the_model = WRITES[what]
    both.told()
    really(both.real)
    in_the_model(both.beside.model)
    real, model = both.told()
    assert [_pairs(body) for _, body in real] == [_pairs(body) for _, body in model]
    wait_until(lambda: not both.assert_same_tables(what), ANSWER_S, what)


def _pairs(said: bytes) -> list[tuple[str, object]]:
    """With the order of the fields."""
    return json.loads(said.decode("utf-8", "surrogateescape"), object_pairs_hook=list)  # type: ignore[no-any-return]
