"""The examples of a channel talk to each other as they stand: the Kamailio script on three releases, the
program in Python, the one in Node without any package, and redis-cli.
"""

import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass

import pytest

from tests.interop.daemon import Daemon, wait_until
from tests.interop.dmqcache_node import DmqcacheNode
from tests.interop.node_libraries import node as node_program
from tests.interop.process import ROOT
from tests.interop.releases import RELEASES, NotInstalled, find

pytestmark = pytest.mark.interop

EXAMPLES = ROOT / "examples"
PATIENCE_S = 30.0
MESSAGE = """\
MESSAGE sip:all@{host}:5060 SIP/2.0\r
Via: SIP/2.0/UDP {own};branch=z9hG4bK{mark}\r
From: <sip:ada@example.com>;tag={mark}\r
To: <sip:all@{host}:5060>\r
Call-ID: {mark}\r
CSeq: 1 MESSAGE\r
Max-Forwards: 10\r
Content-Type: text/plain\r
Content-Length: {length}\r
\r
{body}"""


@dataclass
class Party:
    """A program that takes part, and what it has printed."""

    name: str
    daemon: Daemon

    def wait_for(self, text: str) -> None:
        def printed() -> bool:
            return text in self.daemon.log.read_text("utf-8", "replace")

        wait_until(printed, PATIENCE_S, lambda: f"{text!r} from {self.name}:\n{self.daemon.tail()}")


Start = Callable[..., Party]


@dataclass
class Bus:
    """A dmqcache node with the channel, and a Kamailio of each release that runs the example."""

    node: DmqcacheNode
    kamailios: dict[str, Party]
    """By their addresses."""


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    folder = tmp_path_factory.mktemp("channel")
    with ExitStack() as stack:

        def begin(name: str, *command: str) -> Party:
            log = folder / f"{name}-{len(list(folder.iterdir()))}.log"
            daemon = Daemon(name, command, log, environ={"PYTHONUNBUFFERED": "1"})
            stack.callback(daemon.kill)
            return Party(name, daemon)

        yield begin


@pytest.fixture(scope="module")
def bus(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bus]:
    with DmqcacheNode("127.0.88.11", extra=("--channel", "alerts")) as node:
        kamailios = {}
        for number, release in enumerate(RELEASES.values(), 12):
            host, program = f"127.0.88.{number}", find(release)
            words = [
                *program.command,
                "-f",
                str(EXAMPLES / "alerts.cfg"),
                "-l",
                f"udp:{host}:5060",
                "-DD",
                "-E",
            ]
            words += [
                "-A",
                f'HERE="sip:{host}:5060"',
                "-A",
                f'OTHER="{node.uri}"',
                "-L",
                str(program.modules),
            ]
            words += ["-Y", str(tmp_path_factory.mktemp(host)), "-m", "64", "-M", "8"]
            kamailios[host] = start(f"kamailio-{release.line}", *words)
        node.wait_nodes([node.uri, *(f"sip:{host}:5060" for host in kamailios)], PATIENCE_S)
        yield Bus(node, kamailios)


def _example(language: str, node: DmqcacheNode) -> list[str]:
    """The words that run the program in a language beside a node."""
    if language == "Python":
        return [sys.executable, str(EXAMPLES / "alerts.py"), f"redis://{node.host}:{node.client_port}"]
    try:
        return [node_program(), str(EXAMPLES / "alerts.js"), node.host, str(node.client_port)]
    except NotInstalled as missing:
        pytest.skip(str(missing))


def _redis_cli(bus: Bus, *words: str) -> list[str]:
    return ["redis-cli", "-h", bus.node.host, "-p", str(bus.node.client_port), *words]


@pytest.mark.parametrize("language", ["Python", "Node"])
def test_all_hear_each_other(bus: Bus, start: Start, language: str) -> None:
    command = _example(language, bus.node)
    shell = start("redis-cli", *_redis_cli(bus, "SUBSCRIBE", "dmq:alerts"))
    shell.wait_for("subscribe")
    program = start(language, *command)
    for kamailio in bus.kamailios.values():
        kamailio.wait_for(f"sip:alerts@{bus.node.host}:5060 says: hello from {language}")

    for host in bus.kamailios:
        said = f"the door of {host} is open, {language}"
        _tell(host, said)
        program.wait_for(f"sip:{host}:5060 says: ada says {said}")
        shell.wait_for(f"ada says {said}")
        for other in bus.kamailios.keys() - {host}:
            bus.kamailios[other].wait_for(f"sip:alerts@{host}:5060 says: ada says {said}")

    start("publish", *_redis_cli(bus, "PUBLISH", "dmq:alerts", f"goodbye, {language}"))
    program.wait_for(f"{bus.node.uri} says: goodbye, {language}")
    for party in (shell, *bus.kamailios.values()):
        party.wait_for(f"goodbye, {language}")


@pytest.mark.parametrize("language", ["Python", "Node"])
def test_who_loses_its_node_says_so_in_a_line(start: Start, language: str) -> None:
    with DmqcacheNode("127.0.88.15", extra=("--channel", "alerts")) as node:
        program = start(language, *_example(language, node))
        wait_until(lambda: node.call("users", "PUBSUB", "NUMSUB", "dmq:alerts")[1] == 1, PATIENCE_S)
        node.call("users", "PUBLISH", "dmq:alerts", "hello")
        program.wait_for("says: hello\n")
    assert program.daemon.process.wait(PATIENCE_S) == 1
    *_, last = program.daemon.tail().splitlines()
    assert last.startswith("alerts: ") and "Traceback" not in program.daemon.tail()


def _tell(host: str, body: str) -> None:
    """A phone's MESSAGE to a Kamailio, and its answer."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as phone:
        phone.settimeout(PATIENCE_S)
        phone.connect((host, 5060))
        own = "{}:{}".format(*phone.getsockname())
        mark = f"{os.getpid()}-{body.replace(' ', '-')}".replace(",", "")
        text = MESSAGE.format(host=host, own=own, mark=mark, length=len(body), body=body)
        phone.send(text.encode())
        assert phone.recv(4096).startswith(b"SIP/2.0 202 ")
