"""Phones that sipp plays: many that register, and many calls at once.

Owns how sipp is run; what it says is in ``sipp/*.xml``. Telephones that go one step at a time are
``phones.py``'s.
"""

import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final, Self

from tests.interop.daemon import require_programs

SCENARIOS: Final = Path(__file__).parent / "sipp"
#: Seconds after which sipp gives up.
GIVE_UP_S: Final = 120
#: REGISTERs in a second: more than any machine here takes, the limit is what may be under way at once.
REGISTERS_A_SECOND: Final = 2_000
#: Calls that begin in a second: more would overflow a socket's buffer and come late.
CALLS_A_SECOND: Final = 100
REGISTERING_PORT: Final = 5070
CALLER_PORT: Final = 5080
CALLEE_PORT: Final = 5090


def register(registrar: tuple[str, int], users: list[str], under_way: int) -> None:
    """A REGISTER of one contact for each user, all answered 200. AssertionError with sipp's words if not."""
    with tempfile.TemporaryDirectory() as folder:
        names = Path(folder) / "users.csv"
        names.write_text("SEQUENTIAL\n" + "".join(f"{user}\n" for user in users))
        words = _words("register", registrar[0], REGISTERING_PORT, len(users), REGISTERS_A_SECOND)
        words += ["-inf", str(names), "-l", str(under_way), f"{registrar[0]}:{registrar[1]}"]
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, f"sipp ended with {done.returncode}:\n{done.stdout[-2_000:]}{done.stderr}"


class Calls:
    """So many calls at once through a proxy, from one address to itself, one step after the other: they
    ring, until :meth:`answer`; they talk, until :meth:`hang_up`."""

    def __init__(self, host: str, proxy: tuple[str, int], count: int) -> None:
        self._host, self._count = host, count
        callee = _words("callee", host, CALLEE_PORT, count, CALLS_A_SECOND)
        caller = _words("caller", host, CALLER_PORT, count, CALLS_A_SECOND)
        caller += ["-l", str(count), "-cid_str", "%u@%s", "-key", "callee", f"{host}:{CALLEE_PORT}"]
        # The callee first: what is sent before it listens would come again after half a second.
        self._words = callee, [*caller, f"{proxy[0]}:{proxy[1]}"]
        self._running: list[subprocess.Popen[str]] = []
        self._folder = tempfile.TemporaryDirectory()

    def __enter__(self) -> Self:
        out = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "stdin": subprocess.DEVNULL}
        for words in self._words:
            process = subprocess.Popen(words, text=True, cwd=self._folder.name, **out)
            self._running.append(process)
        return self

    def __exit__(self, *_exc: object) -> None:
        for process in self._running:
            process.kill()
            process.communicate()
        self._folder.cleanup()

    def answer(self) -> None:
        """The callee answers all calls."""
        self._go_on(CALLEE_PORT)

    def hang_up(self) -> None:
        """The caller ends all calls."""
        self._go_on(CALLER_PORT)

    def wait(self) -> None:
        """Until both sides have ended, each call as it should. AssertionError with sipp's words if not."""
        for process in self._running:
            out, _ = process.communicate(timeout=GIVE_UP_S + 10)
            assert process.returncode == 0, f"sipp ended with {process.returncode}:\n{out[-2_000:]}"

    def _go_on(self, port: int) -> None:
        """sipp waits in each call for an INFO, which nobody answers."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for number in range(1, self._count + 1):
                info = (
                    f"INFO sip:test@{self._host}:{port} SIP/2.0\r\nVia: SIP/2.0/UDP {self._host}\r\n"
                    f"From: <sip:test@test>\r\nTo: <sip:test@test>\r\nCall-ID: {number}@{self._host}\r\n"
                    "CSeq: 9 INFO\r\nContent-Length: 0\r\n\r\n"
                )
                sock.sendto(info.encode(), (self._host, port))
                # Slower than sipp reads, so that its buffer does not overflow.
                time.sleep(0.005)


def _words(scenario: str, host: str, port: int, count: int, rate: int) -> list[str]:
    require_programs("sipp")
    words = ["sipp", "-sf", str(SCENARIOS / f"{scenario}.xml"), "-i", host, "-p", str(port), "-nostdin"]
    return [*words, "-m", str(count), "-r", str(rate), "-timeout", str(GIVE_UP_S), "-timeout_error"]
