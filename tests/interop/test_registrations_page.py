"""Two registrars and a dmqcache node by the words of docs/registrations.md and nothing else."""

from __future__ import annotations

import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from secrets import token_hex

import pytest

from tests.interop.daemon import Daemon, wait_until
from tests.interop.releases import DEFAULT, find

pytestmark = pytest.mark.interop

ROOT = Path(__file__).resolve().parents[2]
NET = "127.0.43."
ONE, OTHER = f"{NET}12", f"{NET}13"
TIMEOUT_S = 20.0


def blocks(language: str) -> list[str]:
    """The page's blocks of that language, with this test's addresses."""
    text = (ROOT / "docs" / "registrations.md").read_text().replace("10.0.0.", NET)
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def asked(host: str, user: str, contact: str = "") -> str:
    """The answer to a phone's REGISTER; without a contact it only asks which there are."""
    request = (
        f"REGISTER sip:{host} SIP/2.0\r\nVia: SIP/2.0/UDP {host};rport;branch=z9hG4bK{token_hex(6)}\r\n"
        f"From: <sip:{user}@{host}>;tag=t\r\nTo: <sip:{user}@{host}>\r\nCall-ID: {user}@phone\r\n"
        f"CSeq: 1 REGISTER\r\nMax-Forwards: 70\r\n{contact}Content-Length: 0\r\n\r\n"
    )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.settimeout(0.5)
        phone.sendto(request.encode(), (host, 5060))
        try:
            return phone.recv(65_535).decode()
        except TimeoutError:
            return ""


class Machines:
    """What the page starts on each."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self._daemons: dict[str, Daemon] = {}

    def registrar(self, host: str) -> None:
        """Start one with the page's configuration, or start it again without anything of before."""
        if host in self._daemons:
            self._daemons[host].kill()
        (text,) = blocks("kamailio")
        config = self._folder / f"{host}.cfg"
        config.write_text(text.replace(ONE, host))
        program = find(DEFAULT)
        files = ["-L", str(program.modules), "-P", f"{config}.pid", "-Y", str(self._folder)]
        self._start(host, [*program.command, "-f", str(config), "-DD", "-E", "-m", "64", *files])
        wait_until(lambda: asked(host, "nobody"), TIMEOUT_S, lambda: f"an answer: {self.log(host)}")

    def dmqcache(self) -> None:
        command = shlex.split(blocks("sh")[0].replace("\\\n", " "))
        assert command[0] == "dmqcache"
        self._start("dmqcache", [sys.executable, "-m", *command])

    def _start(self, name: str, command: list[str]) -> None:
        daemon = Daemon(name, command, self._folder / f"{name}.log", environ={"PYTHONPATH": str(ROOT)})
        self._stack.callback(daemon.kill)
        self._daemons[name] = daemon

    def log(self, name: str) -> str:
        return self._daemons[name].tail()


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    with ExitStack() as stack:
        yield Machines(tmp_path, stack)


def test_by_the_pages_words(machines: Machines) -> None:
    def shown() -> str:
        command = shlex.split(blocks("sh")[1].strip())
        words = [sys.executable, "-m", *command]
        return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=20).stdout

    def has(host: str) -> bool:
        return "sip:alice@192.0.2.7:5070" in asked(host, "alice")

    machines.registrar(ONE)
    machines.dmqcache()
    machines.registrar(OTHER)
    assert " 200 " in asked(ONE, "alice", "Contact: <sip:alice@192.0.2.7:5070>\r\nExpires: 3600\r\n")
    wait_until(lambda: has(OTHER), TIMEOUT_S, lambda: f"the contact on the other: {machines.log(OTHER)}")
    wait_until(lambda: "sip:alice@192.0.2.7:5070" in shown(), TIMEOUT_S, lambda: f"the contact: {shown()}")
    for host in (ONE, OTHER):
        machines.registrar(host)
    for host in (ONE, OTHER):
        wait_until(lambda host=host: has(host), TIMEOUT_S, lambda: f"it is back: {machines.log(ONE)}")  # type: ignore[misc]
