"""The examples are run for real, as their docstrings say; and the peer among them is held to its words."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from dmqcache import Message, Node, NodeURI, Reply
from dmqcache.bus.sip.uri import Endpoint
from tests.interop.kamailio import Kamailio
from tests.ports import free_port
from tests.waiting import wait_until

EXAMPLES = Path(__file__).parent.parent / "examples"
#: Seconds until something must have happened; nothing here takes more than two.
PATIENCE = 20.0


class Program:
    """A process whose output goes to a file that can be looked at while it runs."""

    def __init__(self, output: Path, *args: str) -> None:
        self._output = output
        self._args = args
        environ = {name: value for name, value in os.environ.items() if not name.startswith("DMQCACHE_")}
        with output.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, *args],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=environ | {"PYTHONPATH": str(EXAMPLES)},
            )

    def text(self) -> str:
        return self._output.read_text("utf-8")

    def wait_for(self, *words: str) -> None:
        """Until each of them was printed."""
        wait_until(
            lambda: all(word in self.text() for word in words),
            PATIENCE,
            lambda: f"{words} from {self._args}: {self.text()}",
        )

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


Start = Callable[..., Program]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with contextlib.ExitStack() as stack:

        def begin(*args: str) -> Program:
            program = Program(tmp_path / f"{len(list(tmp_path.iterdir()))}.txt", *args)
            stack.callback(program.process.wait)
            stack.callback(program.process.kill)
            return program

        yield begin


def sip(host: str) -> str:
    """An address of which the port is free now."""
    return f"sip:{host}:{free_port(host)}"


def serve(start: Start, address: str, *flags: str) -> Program:
    off = ("--client-address", "off", "--http-address", "off")
    node = start("-m", "dmqcache", "serve", "--server-address", address, "--table", "users", *off, *flags)
    node.wait_for("ready:")
    return node


def test_a_program_with_a_node_in_it(start: Start) -> None:
    address = sip("127.0.0.95")
    serve(start, address)
    program = start(str(EXAMPLES / "embedded.py"), sip("127.0.0.96"), address)
    assert program.process.wait(PATIENCE) == 0, program.text()
    assert program.text().splitlines() == [
        "joined 1 other nodes; users holds 0 cells",
        "carol is at sip:carol@192.0.2.9 and dave's entry lives 60 s",
        "acknowledged by 1 other nodes",
        "keys with an a: ['carol', 'dave']",
        "carol is None",
    ]


def test_a_program_with_a_node_says_in_one_line_what_is_wrong(start: Start) -> None:
    program = start(str(EXAMPLES / "embedded.py"), "sip:127.0.0.95:99999")
    assert program.process.wait(PATIENCE) == 2
    assert program.text().startswith("embedded.py: ") and program.text().count("\n") == 1


def test_a_program_without_a_loop(start: Start) -> None:
    address = sip("127.0.0.95")
    serve(start, address)
    program = start(str(EXAMPLES / "threaded.py"), sip("127.0.0.96"), address)
    assert program.process.wait(PATIENCE) == 0, program.text()
    assert program.text().splitlines() == [
        "jobs done: 400 by 4 workers",
        "acknowledged by 1 other nodes",
        "changes seen: ['worker 0', 'worker 1', 'worker 2', 'worker 3']",
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("web.py abc", "usage: web.py PORT"),
        ("web.py 99999 sip:127.0.0.96", "usage: web.py PORT"),
        ("web.py 8000 abc:x", "web.py: server_address: 'abc:x' is no"),
        ("alerts.py abc", "alerts: Redis URL must"),
        ("bus_only.py abc", "usage: bus_only.py OWN"),
        ("embedded.py abc:x", "embedded.py: server_address: 'abc:x' is no"),
        ("threaded.py abc:x", "threaded.py: server_address: 'abc:x' is no"),
    ],
)
def test_a_word_that_is_none_is_told_so_in_one_line(start: Start, words: str, said: str) -> None:
    name, *args = words.split()
    program = start(str(EXAMPLES / name), *args)
    assert program.process.wait(PATIENCE) in (1, 2)
    (line,) = program.text().splitlines()
    assert line.startswith(said)


def test_a_web_application_keeps_what_is_slow_to_find(start: Start) -> None:
    port = free_port("127.0.0.1", "tcp")
    program = start(str(EXAMPLES / "web.py"), str(port), sip("127.0.0.96"))
    program.wait_for(f"serving on port {port}")

    def page() -> object:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/alice", timeout=5) as answer:
            return json.load(answer)

    told = {"text": "All that is known of alice.", "computed here": 1}
    assert wait_until(page, PATIENCE) == told
    assert page() == told
    assert program.end(signal.SIGTERM) in (-signal.SIGTERM, 0)
    assert "Traceback" not in program.text()


def test_the_peer_in_a_node_and_on_the_bus_alone(start: Start) -> None:
    address = sip("127.0.0.95")
    node = serve(start, address, "--peer", "presence:Presence")
    script = str(EXAMPLES / "bus_only.py")
    first = start(script, sip("127.0.0.96"), address, "alice=open")
    node.wait_for("peer.presence: alice is open at sip:127.0.0.96:")
    second = start(script, sip("127.0.0.97"), address, "bob=busy")
    both = ("'alice': 'open'", "'bob': 'busy'")
    first.wait_for(*both)
    second.wait_for(*both)
    node.wait_for("bob is busy at sip:127.0.0.97:")

    assert first.end(signal.SIGINT) == 0
    node.wait_for("alice is gone with sip:127.0.0.96:")
    wait_until(lambda: second.text().endswith("users: {'bob': 'busy'}\n"), PATIENCE, second.text)
    assert node.end(signal.SIGTERM) == 0
    assert "Traceback" not in node.text() + first.text() + second.text()


def test_a_peer_that_is_not_found_is_one_line(start: Start) -> None:
    program = start("-m", "dmqcache", "serve", "--peer", "presense:Presence")
    assert program.process.wait(PATIENCE) == 2
    assert program.text() == (
        "dmqcache: peer 'presense:Presence' cannot be loaded: No module named 'presense' "
        "(its folder must be in PYTHONPATH)\n"
    )


@pytest.mark.interop
def test_a_kamailio_speaks_to_the_peer_from_its_script(start: Start) -> None:
    docstring = ast.get_docstring(ast.parse((EXAMPLES / "presence.py").read_text("utf-8")))
    (call,) = (line.strip() for line in str(docstring).splitlines() if "dmq_bcast_message" in line)
    every_second = (
        'loadmodule "rtimer.so"\n'
        'modparam("rtimer", "timer", "name=tick;interval=1;mode=1;")\n'
        'modparam("rtimer", "exec", "timer=tick;route=TICK")\n'
        f'route[TICK] {{ $var(user) = "alice"; {call.replace("$fU", "$var(user)")} }}\n'
    )
    address = sip("127.0.0.95")
    node = serve(start, address, "--peer", "presence:Presence")
    with Kamailio("127.0.0.98", seeds=[address], extra_cfg=every_second):
        node.wait_for("peer.presence: alice is open at sip:127.0.0.98:5060")


def test_programs_with_a_redis_client_talk_on_a_channel_of_the_bus(start: Start) -> None:
    ports = [free_port("127.0.0.1", "tcp") for _ in range(2)]
    first, second = sip("127.0.0.95"), sip("127.0.0.96")
    for address, port, flags in (
        (first, ports[0], []),
        (second, ports[1], ["--notification-address", first]),
    ):
        flags = ["--server-address", address, "--client-address", f"127.0.0.1:{port}", *flags]
        node = start("-m", "dmqcache", "serve", "--http-address", "off", "--channel", "alerts", *flags)
        node.wait_for("ready:")
    python = start(str(EXAMPLES / "alerts.py"), f"redis://127.0.0.1:{ports[0]}")
    python.wait_for("nodes and their answers:", second)
    program = shutil.which("node")
    if program is None:
        pytest.skip("Node.js is not installed")
    script = subprocess.Popen(
        [program, str(EXAMPLES / "alerts.js"), "127.0.0.1", str(ports[1])], stdout=subprocess.PIPE
    )
    try:
        python.wait_for(f"{second} says: hello from Node")
        assert script.stdout is not None
        assert script.stdout.readline().decode() == f"{second} says: hello from Node\n"
        other = start(str(EXAMPLES / "alerts.py"), f"redis://127.0.0.1:{ports[0]}")
        other.wait_for("nodes and their answers:")
        assert script.stdout.readline().decode() == f"{first} says: hello from Python\n"
    finally:
        script.kill()
        script.wait(PATIENCE)


@pytest.mark.parametrize("args", [(), ("sip:127.0.0.96:5060",), ("sip:127.0.0.96:5060", "x:5060", "alice")])
def test_the_bus_alone_says_how_to_call_it(start: Start, args: tuple[str, ...]) -> None:
    program = start(str(EXAMPLES / "bus_only.py"), *args)
    assert program.process.wait(PATIENCE) == 2
    assert program.text().startswith("usage: ")


# -- the peer alone


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import presence

    assert isinstance(presence, ModuleType)
    return presence


NODE = Node(NodeURI("127.0.0.12", 5060))


def message(body: bytes, node: Node | None = NODE) -> Message:
    return Message(
        channel="presence",
        body=body,
        content_type="application/json",
        sender=NODE.uri,
        source=Endpoint("udp", "127.0.0.12", 5060),
        node=node,
        max_forwards=1,
        user_agent="",
        supported=frozenset(),
    )


def users(number: int, **states: str) -> bytes:
    return json.dumps({"number": number, "users": states}).encode()


def test_the_newest_message_of_a_node_counts(module: ModuleType) -> None:
    peer = module.Presence()
    assert peer.handle(message(users(2, alice="open"))) == Reply(200)
    assert peer.handle(message(users(1, bob="open"))) == Reply(200)
    assert peer.users == {"alice": "open"}
    peer.publish("carol", "busy")
    assert peer.users == {"alice": "open", "carol": "busy"}
    peer.publish("carol", None)
    peer.on_node_down(NODE)
    assert peer.users == {}


@pytest.mark.parametrize(
    "body", [b"", b"\xff", b"1", b"[]", b"{}", b'{"number":1}', b'{"number":1,"users":[]}', b'{"number":[]}']
)
def test_what_cannot_be_read_is_refused_and_changes_nothing(module: ModuleType, body: bytes) -> None:
    peer = module.Presence()
    assert peer.handle(message(body)).status == 400
    assert peer.users == {}


def test_a_stranger_is_refused(module: ModuleType) -> None:
    peer = module.Presence()
    assert peer.handle(message(users(1, alice="open"), node=None)).status == 403
    assert peer.users == {}
