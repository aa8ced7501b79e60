"""The model's SIP is a Kamailio's, to the byte; and its tables answer as the recorded nodes did."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dmqcache.bus.sip.uri import Endpoint
from dmqcache.store.table.settings import TableSettings
from tests.simulation.kamailio_htable import KamailioHtable
from tests.simulation.kamailio_sip import (
    FR_TIMER,
    T1,
    Address,
    Calls,
    Request,
    Response,
    Unreadable,
    read,
    reply,
    reply_to,
)
from tests.simulation.runtime import VirtualRuntime, World

VECTORS = Path(__file__).parent.parent / "vectors"
FILES = sorted(VECTORS.glob("**/*.jsonl"))
each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
SOURCE = Endpoint("udp", "127.0.0.1", 5999)


def recorded(path: Path) -> list[bytes]:
    """What Kamailio nodes said: a dmqcache stood beside some of them."""
    datagrams = [json.loads(line)["datagram"].encode("latin-1") for line in path.read_text().splitlines()]
    return [
        data for data in datagrams if b"User-Agent: dmqcache" not in data and b"Server: dmqcache" not in data
    ]


@each_file
def test_what_is_read_is_written_again_to_the_byte(path: Path) -> None:
    for data in recorded(path):
        message = read(data)
        if message.cseq.startswith("10 "):
            assert message.write() == data
        elif isinstance(message, Request):
            # With sl_send.
            assert message.write_stateless() == data
        else:
            # Its headers stand as in the request.
            assert sorted(message.write().split(b"\r\n")) == sorted(data.split(b"\r\n"))


@each_file
def test_its_reply_is_the_recorded_one_but_for_the_tag(path: Path) -> None:
    messages = [read(data) for data in recorded(path)]
    requests = {(one.call_id, one.via): one for one in messages if isinstance(one, Request)}
    compared = 0
    for response in messages:
        request = requests.get((response.call_id, response.via))
        if isinstance(response, Response) and request is not None:
            host = request.via.partition(" ")[2].partition(";")[0].partition(":")[0]
            source = Endpoint("udp", host, 5060)
            made = reply(
                *(request, response.status, response.reason, "t", response.server, source, response.body),
            )
            assert made == replace(response, to=Address(request.to.user, request.to.node, "t"))
            compared += 1
    assert compared or "sl_send" in path.stem or len(messages) < 10


@each_file
def test_the_models_tables_answer_as_the_recorded_nodes_did(path: Path) -> None:
    messages = [read(data) for data in recorded(path)]
    software = {one.from_.node: one.agent for one in messages if isinstance(one, Request) and one.agent}
    answers = {one.call_id: one for one in messages if isinstance(one, Response)}
    names = {
        word["htname"]
        for one in messages
        if isinstance(one, Request) and one.channel == "htable"
        for body in [json.loads(one.body.decode("utf-8", "surrogateescape"))]
        for word in body.get("cells", [body])
        if "htname" in word
    }
    tables = [TableSettings.parse(f"{name}=>autoexpire=600") for name in names - {"nosuch"}]
    nodes: dict[str, KamailioHtable] = {}
    for one in messages:
        answer = answers.get(one.call_id)
        if not isinstance(one, Request) or one.channel != "htable" or answer is None:
            continue
        version = answer.server.removeprefix("kamailio (").split(".")
        node = one.to.node
        if node not in nodes:
            nodes[node] = KamailioHtable(
                (int(version[0]), int(version[1])), tables, lambda: 1_700_000_000_000, lambda body: None
            )
        assert nodes[node].read(one.body, lambda only: None) == answer.status, (software, one)


def test_a_reply_goes_to_the_vias_port_unless_it_says_rport() -> None:
    request = Request(
        "htable",
        "htable@127.0.0.2:5060",
        "SIP/2.0/UDP 127.0.0.3;branch=z9hG4bKx",
        Address("htable", "127.0.0.2:5060", ""),
        Address("htable", "127.0.0.3:5060", "1"),
        *("10 KDMQ", "1@x", "", 1, "application/json", b"{}"),
    )
    assert reply_to(request, SOURCE) == Endpoint("udp", "127.0.0.1", 5060)
    assert reply(request, 200, "OK", "t", "", SOURCE).via == f"{request.via};received=127.0.0.1"
    asking = replace(request, via="SIP/2.0/UDP 127.0.0.3:5070;rport;branch=z9hG4bKx")
    assert reply_to(asking, SOURCE) == SOURCE
    assert ";rport=5999;" in reply(asking, 200, "OK", "t", "", SOURCE).via


def test_short_names_of_headers_are_as_good_and_a_length_may_be_missing() -> None:
    head = b"KDMQ sip:x@127.0.0.2 SIP/2.0\r\nv: SIP/2.0/UDP 127.0.0.3;branch=1\r\nt: <sip:x@127.0.0.2>\r\n"
    message = read(head + b"f: <sip:x@127.0.0.3>;tag=1\r\ni: 1@x\r\nCSeq: 1 KDMQ\r\n\r\nbody")
    assert isinstance(message, Request)
    assert (message.channel, message.call_id, message.body) == ("x", "1@x", b"body")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"INVITE sip:a@b SIP/2.0\r\nVia: x\r\n\r\n",
        b"KDMQ sip:htable@127.0.0.1 SIP/2.0\r\nTo: <sip:htable@x>\r\n\r\n",
        b"\xff\xfe",
    ],
)
def test_what_is_no_sip_is_said(data: bytes) -> None:
    with pytest.raises(Unreadable):
        read(data)


def test_a_request_is_repeated_until_its_reply_and_ends_with_a_408() -> None:
    world = World(1)
    runtime = VirtualRuntime(world, "k", 1)
    sent: list[float] = []
    ends: list[tuple[float, int]] = []
    calls = Calls(runtime, lambda data, to: sent.append(world.now))
    calls.start(b"lost", "b1", SOURCE, lambda status, _: ends.append((world.now, status)))
    calls.start(b"heard", "b2", SOURCE, lambda status, _: ends.append((world.now, status)))
    common = (
        "SIP/2.0/UDP x;branch=b2",
        Address("a", "x", ""),
        Address("a", "x", ""),
        "10 KDMQ",
        "1",
        "",
        "",
        b"",
    )
    world.run(T1 / 2)
    calls.answered(Response(100, "Trying", *common))
    calls.answered(Response(200, "OK", *common))
    calls.answered(Response(200, "OK", *common))
    world.run(60)
    assert [round(moment, 6) for moment in sent] == [0, 0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5]
    assert [(round(moment, 6), status) for moment, status in ends] == [(0.25, 200), (30, 408)]


def test_a_reply_that_waits_for_a_stopped_process_is_read_before_its_timers_fire() -> None:
    """As an event loop does: what it reads first cancels what was due."""
    world = World(1)
    runtime = VirtualRuntime(world, "k", 1)
    sent: list[bytes] = []
    ends: list[int] = []
    calls = Calls(runtime, lambda data, to: sent.append(data))
    calls.start(b"asked", "b", SOURCE, lambda status, _: ends.append(status))
    runtime.freeze()
    world.run(FR_TIMER + 1)
    answer = Response(
        *(200, "OK", "SIP/2.0/UDP x;branch=b", Address("a", "x", ""), Address("a", "x", "")),
        *("10 KDMQ", "1", "", "", b""),
    )
    runtime.thaw(lambda: world.call_at(world.now, lambda: calls.answered(answer), runtime))
    world.run(FR_TIMER)
    assert (sent, ends) == ([b"asked"], [200])


def test_short_names_of_headers_are_read_as_the_long_ones() -> None:
    """As a node writes them to one that it does not know yet."""
    head = (
        b"KDMQ sip:htable@127.0.0.13:5060 SIP/2.0\r\nv: SIP/2.0/UDP 127.0.0.11:5060;branch=z9hG4bKa\r\n"
        b"t: <sip:htable@127.0.0.13:5060>\r\nl: 2\r\nf: <sip:htable@127.0.0.11:5060>;tag=1\r\n"
        b"CSeq: 1 KDMQ\r\ni: x\r\nMax-Forwards: 1\r\nc: text/plain\r\n\r\nab"
    )
    request = read(head)
    assert isinstance(request, Request)
    assert (request.call_id, request.content_type, request.body) == ("x", "text/plain", b"ab")
