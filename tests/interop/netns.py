"""Network namespaces joined by a bridge, with real loss and real partitions by iptables.

`Network` is a context manager: it makes the namespaces on entry and removes all of them on exit, whatever
happened between. Each namespace `dmqc-TAG-NAME` has one address; the bridge has the first address of the
network, so the test itself reaches every namespace (its RPC, Redis and HTTP) directly. Loss and partitions
apply between namespaces only: the test's own traffic comes from the bridge's address and always passes.
"""

import contextlib
import itertools
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType

from tests.dns_server import DnsServer, Records
from tests.interop.daemon import require_programs

PREFIX = "dmqc-"
"""Every namespace, bridge and veth made here starts with it, so leftovers can be recognised."""

ETC = Path("/etc/netns")
"""What lies here in a folder of a namespace's name, a process that is started in it sees in /etc."""

NETWORK = "198.18.{number}."
"""RFC 2544's range for benchmarks between one's own devices: on no route of a test machine."""


def run(*command: str, check: bool = True) -> str:
    """Run a command and return its stdout; RuntimeError with its stderr if it fails and `check`."""
    done = subprocess.run(command, capture_output=True, text=True)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def require_root() -> None:
    """Namespaces need root and two packages; say so instead of skipping."""
    if os.geteuid() != 0:
        raise RuntimeError("network namespaces need root: run as root, or leave out test_partition.py")
    require_programs("ip", "iptables")


class Network:
    """Namespaces with the given names on one bridge. `tag` tells networks of one machine apart. `records`:
    what the only DNS server answers that processes in the namespaces ask."""

    def __init__(
        self, names: Sequence[str], *, tag: str = "t", number: int = 77, records: Records | None = None
    ) -> None:
        self.names = list(names)
        self._records = records
        self.dns: DnsServer | None = None
        self._net = NETWORK.format(number=number)
        self._tag = tag
        self._bridge = f"{PREFIX}{tag}"
        self.manager = f"{self._net}1"
        self._addresses = {name: f"{self._net}{i}" for i, name in enumerate(self.names, start=11)}

    def address(self, name: str) -> str:
        """The IPv4 address of a namespace."""
        return self._addresses[name]

    def namespace(self, name: str) -> str:
        """The full name, as `ip netns exec` takes it."""
        return f"{PREFIX}{self._tag}-{name}"

    # ---- making and removing ----

    def __enter__(self) -> "Network":
        require_root()
        self._remove()
        try:
            self._make()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def _make(self) -> None:
        run("ip", "link", "add", self._bridge, "type", "bridge")
        run("ip", "addr", "add", f"{self.manager}/24", "dev", self._bridge)
        run("ip", "link", "set", self._bridge, "up")
        for index, name in enumerate(self.names):
            self._make_namespace(name, f"{self._bridge}-{index}")
        if self._records is not None:
            self.dns = DnsServer(self._records, self.manager, 53)
            for name in self.names:
                folder = ETC / self.namespace(name)
                folder.mkdir(parents=True, exist_ok=True)
                (folder / "resolv.conf").write_text(f"nameserver {self.manager}\n")

    def _make_namespace(self, name: str, veth: str) -> None:
        space = self.namespace(name)
        run("ip", "netns", "add", space)
        run("ip", "link", "add", veth, "type", "veth", "peer", "name", "eth0", "netns", space)
        run("ip", "link", "set", veth, "master", self._bridge, "up")
        run("ip", "-n", space, "addr", "add", f"{self.address(name)}/24", "dev", "eth0")
        run("ip", "-n", space, "link", "set", "lo", "up")
        run("ip", "-n", space, "link", "set", "eth0", "up")
        for chain in ("dmqc-cut", "dmqc-loss"):
            self._iptables(name, "-N", chain)
            self._iptables(name, "-A", "INPUT", "!", "-s", self.manager, "-i", "eth0", "-j", chain)

    def _remove(self) -> None:
        if self.dns is not None:
            self.dns.close()
            self.dns = None
        for name in self.names:
            shutil.rmtree(ETC / self.namespace(name), ignore_errors=True)
            run("ip", "netns", "del", self.namespace(name), check=False)
        # A veth goes with its namespace only once the kernel has cleaned up; by hand it goes now.
        for index in range(len(self.names)):
            run("ip", "link", "del", f"{self._bridge}-{index}", check=False)
        run("ip", "link", "del", self._bridge, check=False)

    # ---- faults ----

    def set_loss(self, probability: float, names: Iterable[str] | None = None) -> None:
        """Drop each packet that arrives from another namespace with `probability`; 0 ends it."""
        for name in self.names if names is None else names:
            self._iptables(name, "-F", "dmqc-loss")
            if probability > 0:
                match = ("-m", "statistic", "--mode", "random", "--probability", f"{probability:.6f}")
                self._iptables(name, "-A", "dmqc-loss", *match, "-j", "DROP")

    def cut(self, *groups: Sequence[str]) -> None:
        """Drop every packet between namespaces of different groups, in both directions."""
        for one, other in itertools.permutations(groups, 2):
            for name in one:
                for source in other:
                    self.block(source, name)

    def block(self, source: str, target: str) -> None:
        """Drop what `target` receives from `source`: one direction only."""
        self._iptables(target, "-A", "dmqc-cut", "-s", self.address(source), "-j", "DROP")

    def heal(self) -> None:
        """End every cut and block (loss stays as it is)."""
        for name in self.names:
            self._iptables(name, "-F", "dmqc-cut")

    @contextlib.contextmanager
    def partition(self, *groups: Sequence[str]) -> Iterator[None]:
        """cut() for the body of a `with`, healed at its end."""
        self.cut(*groups)
        try:
            yield
        finally:
            self.heal()

    def _iptables(self, name: str, *rule: str) -> None:
        run("ip", "netns", "exec", self.namespace(name), "iptables", "-w", *rule)
