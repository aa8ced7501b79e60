"""A Kamailio node on virtual time: its bus, its gossip and its clumsiness, of 5.6.3, 6.1 and 6.2.

Shares nothing of our bus or store but the form of a node's address: SIP is ``kamailio_sip.py``'s. Owns
membership (pings, 408 rules, gossip by Max-Forwards, the one initial sync) and the way between the network
and ``kamailio_htable.py`` and ``kamailio_usrloc.py``. tests/interop/test_model.py holds both against real
nodes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dmqcache.bus.sip.uri import Endpoint, NodeURI
from dmqcache.store.table.settings import TableSettings
from tests.simulation.kamailio_htable import KamailioHtable
from tests.simulation.kamailio_sip import (
    COOKIE,
    Address,
    Calls,
    Request,
    Response,
    Unreadable,
    read,
    reply,
    reply_to,
)
from tests.simulation.kamailio_usrloc import SYNC_BODY, KamailioUsrloc
from tests.simulation.runtime import VirtualRuntime

PING_S = 60.0
#: The htable module's timer_interval.
SWEEP_S = 20.0
#: The buffer in which the node list is built.
LIST_BYTES = 1_024
#: Longest time for which a message waits for one of several workers: two may change places.
WORKER_S = 0.002

NOTIFICATION, HTABLE, USRLOC = "notification_peer", "htable", "usrloc"
REASONS = {200: "OK", 400: "Bad Request", 500: "Server Internal Error"}
OLD_WORDS = frozenset({"active", "disabled", "timeout", "pending"})
NEW_WORDS = frozenset({"active", "not_active", "disabled"})


@dataclass(slots=True)
class Known:
    """Another node as this Kamailio sees it."""

    uri: NodeURI
    status: str
    #: It was configured as a notification address.
    seed: bool = False


class Kamailio:
    """One node."""

    def __init__(
        self,
        version: tuple[int, int],
        uri: NodeURI,
        seeds: tuple[NodeURI, ...],
        tables: Sequence[TableSettings],
        runtime: VirtualRuntime,
        send: Callable[[bytes, Endpoint], None],
        *,
        has_htable: bool = True,
        resolve: Callable[[str], str] = lambda host: host,
        told_contacts: Callable[[bytes, bool], None] | None = None,
    ) -> None:
        """``has_htable``: whether the htable module is on its bus. ``resolve``: the address of a name.
        ``told_contacts``: it is a registrar, and module dmq_usrloc is on its bus; this is shown what it is
        told, and whether by a dmqcache node."""
        self.version = version
        self.has_htable = has_htable
        self._resolve = resolve
        self.new = version >= (6, 1)
        self.uri = uri
        self.nodes: dict[NodeURI, Known] = {}
        #: Changes that are on their way, and those that some node did not acknowledge.
        self.pending = 0
        self.undelivered = 0
        #: What another node did that a real Kamailio would not survive or would refuse.
        self.violations: list[str] = []
        self._seeds = seeds
        self._runtime = runtime
        self._send = send
        self._status = "active"
        self._synced = False
        self._count = 0
        #: The next Call-ID's number of each process.
        self._numbers: dict[str, int] = {}
        self._agent = f"kamailio ({version[0]}.{version[1]}.0 (x86_64/linux))"
        self._calls = Calls(runtime, send)
        self._secret = runtime.token()
        self.htable = KamailioHtable(
            version, list(tables), runtime.wall_ms, lambda body: self._broadcast(HTABLE, body)
        )
        self._told_contacts = told_contacts
        #: Key of a contact -> messages with a word on it that are on their way.
        self.telling: Counter[str] = Counter()
        self.usrloc = KamailioUsrloc(version, self._secret, runtime.wall_ms, self._tell_contact)

    # -- life --------------------------------------------------------------------------------------------

    def start(self) -> None:
        self._call_seeds()
        self._runtime.call_later(PING_S, self._ping)
        self._runtime.call_later(SWEEP_S, self._sweep)

    def active(self) -> set[NodeURI]:
        """The nodes that it tells of changes."""
        return {known.uri for known in self.nodes.values() if known.status == "active"}

    def leave(self) -> None:
        """5.6 stops without a word; later ones say that they are gone, once."""
        self._status = "disabled"
        if self.new:
            for known in self.nodes.values():
                self._notify(known, self._line(self.uri, "disabled"), 1)

    def _call_seeds(self) -> None:
        for uri in self._seeds:
            known = self.nodes[uri] = Known(uri, "active" if self.new else "pending", seed=True)
            self._notify(known, self._line(self.uri, self._status), 2)

    def _ping(self) -> None:
        self._runtime.call_later(PING_S, self._ping)
        if not self.nodes:
            self._synced = False
            self._call_seeds()
            return
        body = self._list()
        if body is not None:
            for known in list(self.nodes.values()):
                self._notify(known, body, 1)

    def _sweep(self) -> None:
        self.htable.sweep()
        self.usrloc.sweep()
        self._runtime.call_later(SWEEP_S, self._sweep)

    # -- sending -----------------------------------------------------------------------------------------

    def _post(
        self, channel: str, node: NodeURI, body: bytes, hops: int, done: Callable[[int, bytes], None]
    ) -> None:
        host = self._resolve(node.host)
        self._count += 1
        branch = f"{COOKIE}{self._count:x}.{self._secret}.0"
        own, target = _plain(self.uri), _plain(node)
        request = Request(
            channel,
            f"{channel}@{target}",
            f"SIP/2.0/UDP {_plain(self.uri)};branch={branch}",
            Address(channel, target, ""),
            Address(channel, own, f"{self._count:x}"),
            "10 KDMQ",
            self._call_id(channel),
            self._agent,
            hops,
            "text/plain" if channel == NOTIFICATION else "application/json",
            body,
        )
        self._calls.start(request.write(), branch, Endpoint("udp", host, node.port), done)

    def _call_id(self, channel: str) -> str:
        """Each process counts up from a number near the others': one runs the script, one the timer."""
        process = 1 + (channel == NOTIFICATION)
        number = self._numbers.get(channel)
        if number is None:
            drawn = int(self._secret, 16) % (1 << 62)
            number = drawn + int(self._runtime.token(), 16) % (1 << 20)
        self._numbers[channel] = number + 1
        return f"{number:016x}-{process}@{self.uri.host}"

    def _broadcast(self, channel: str, body: bytes, hops: int = 1) -> None:
        for known in list(self.nodes.values()):
            if known.status == "active":
                if channel == NOTIFICATION:
                    self._notify(known, body, hops)
                else:
                    self.pending += 1
                    self._post(channel, known.uri, body, hops, self._told)

    def _told(self, status: int, _: bytes) -> None:
        """htable ignores all replies; the tests do not."""
        self.pending -= 1
        # 404: it has no tables.
        self.undelivered += status not in (200, 404)

    def _tell_contact(self, ruid: str, body: bytes) -> None:
        def told(status: int, _: bytes) -> None:
            self.telling[ruid] -= 1

        for known in list(self.nodes.values()):
            if known.status == "active":
                self.telling[ruid] += 1
                self._post(USRLOC, known.uri, body, 1, told)

    def _notify(self, known: Known, body: bytes, hops: int) -> None:
        was_disabled = known.status == "disabled"
        self._post(
            *(NOTIFICATION, known.uri, body, hops),
            lambda status, list_: self._answered(known, was_disabled, status, list_),
        )

    def _answered(self, known: Known, was_disabled: bool, status: int, body: bytes) -> None:
        if self.nodes.get(known.uri) is not known:
            return
        if status == 200:
            known.status = "active"
            self._read_list(body)
            self._init()
        elif status == 408:
            self._silent(known, was_disabled)

    def _silent(self, known: Known, was_disabled: bool) -> None:
        if self.new and known.status == "disabled":
            return
        if known.seed:
            known.status = "not_active" if self.new else "pending"
        elif was_disabled and not self.new:
            del self.nodes[known.uri]
        else:
            known.status = "disabled"

    def _init(self) -> None:
        """Once, when somebody answers or calls: ask all active nodes for everything."""
        if not self._synced:
            self._synced = True
            if self.has_htable:
                self._broadcast(HTABLE, b'{"action":1}')
            if self._told_contacts is not None:
                for known in list(self.nodes.values()):
                    if known.status == "active":
                        self._post(USRLOC, known.uri, SYNC_BODY, 1, lambda status, _: None)

    # -- receiving ---------------------------------------------------------------------------------------

    def receive(self, data: bytes, source: Endpoint) -> None:
        """One datagram. Requests go to some worker; there is no memory of those that came before."""
        try:
            message = read(data)
        except Unreadable as error:
            self.violations.append(f"unreadable: {error}")
            return
        if isinstance(message, Response):
            self._calls.answered(message)
            return
        request = message
        handle = self._handlers().get(request.channel)
        if handle is None:
            reason = "Not Found Peer ID" if self.version >= (6, 2) else "User Not Found"
            self._reply(request, source, 404, reason)
            return
        self._runtime.call_later(WORKER_S * self._runtime.random(), lambda: handle(request, source))

    def _handlers(self) -> dict[str, Callable[[Request, Endpoint], None]]:
        handlers: dict[str, Callable[[Request, Endpoint], None]] = {NOTIFICATION: self._on_notification}
        if self.has_htable:
            handlers[HTABLE] = self._on_htable
        if self._told_contacts is not None:
            handlers[USRLOC] = self._on_usrloc
        return handlers

    def _on_notification(self, request: Request, source: Endpoint) -> None:
        changed = self._read_list(request.body)
        body = self._list()
        if body is None:
            return
        hops = request.max_forwards - 1
        self._reply(request, source, 200, "OK", body)
        if changed and hops > 0:
            self._broadcast(NOTIFICATION, body, hops)
        self._init()

    def _on_htable(self, request: Request, source: Endpoint) -> None:
        sender = NodeURI.parse(f"sip:{request.from_.node}")
        status = self.htable.read(request.body, lambda only: self._give(sender, only))
        if status == 400 and request.agent.startswith("dmqcache"):
            self.violations.append(f"400 to {sender}: {request.body[:200]!r}")
        self._reply(request, source, status, REASONS[status])

    def _on_usrloc(self, request: Request, source: Endpoint) -> None:
        assert self._told_contacts is not None
        sender = NodeURI.parse(f"sip:{request.from_.node}")
        by_ours = request.agent.startswith("dmqcache")
        self._told_contacts(request.body, by_ours)
        status = self.usrloc.read(request.body, lambda: self._give_contacts(sender))
        if status == 400 and by_ours:
            self.violations.append(f"400 to {sender}: {request.body[:200]!r}")
        self._reply(request, source, status, REASONS[status])

    def _give_contacts(self, sender: NodeURI) -> None:
        """To the asker alone, if it is in the list."""
        for body in self.usrloc.batches() if sender in self.nodes else ():
            self._post(USRLOC, sender, body, 1, lambda status, _: None)

    def _give(self, sender: NodeURI, only: str | None) -> None:
        """All cells to the asker; to everyone, if the asker is not in the list."""
        for body in self.htable.batches(only):
            if sender in self.nodes:
                self._post(HTABLE, sender, body, 1, lambda status, _: None)
            else:
                self._broadcast(HTABLE, body)

    def _reply(self, request: Request, source: Endpoint, status: int, reason: str, body: bytes = b"") -> None:
        answer = reply(request, status, reason, "t", self._agent, source, body)
        self._send(answer.write(), reply_to(request, source))

    # -- the node list -----------------------------------------------------------------------------------

    @staticmethod
    def _line(uri: NodeURI, status: str) -> bytes:
        return f"{uri};status={status}\r\n".encode()

    def _list(self) -> bytes | None:
        """Ourselves and all that are active; None if that is too long for the buffer."""
        active = [known for known in self.nodes.values() if known.status == "active"]
        body = self._line(self.uri, self._status) + b"".join(
            self._line(known.uri, "active") for known in active
        )
        return body if len(body) <= LIST_BYTES else None

    def _read_list(self, body: bytes) -> bool:
        """Apply a list; returns whether anything was new. A line that hangs 5.6.3 is a violation."""
        changed = False
        if body and not body.endswith(b"\r\n"):
            self.violations.append(f"a list without the last CRLF: {body!r}")
        for line in body.split(b"\n")[:-1]:
            text = line.strip(b"\r\0").decode()
            uri, _, rest = text.partition(";")
            status = next((part[7:] for part in rest.split(";") if part.startswith("status=")), None)
            if status not in (NEW_WORDS if self.new else OLD_WORDS):
                self.violations.append(f"a line that no Kamailio reads: {text!r}")
                return changed
            changed |= self._apply(NodeURI.parse(uri), status)
        return changed

    def _apply(self, uri: NodeURI, status: str) -> bool:
        if uri == self.uri:
            return False
        if (self._resolve(uri.host), uri.port) == (self._resolve(self.uri.host), self.uri.port):
            self.violations.append(f"it is told of itself as {uri}")
            return False
        known = self.nodes.get(uri)
        if known is None:
            self.nodes[uri] = Known(uri, status)
            return True
        revives = self.new and status == "active"
        if known.status == status or (known.status == "disabled" and not revives):
            return False
        known.status = status
        return True


def _plain(node: NodeURI) -> str:
    """Host and port, as they stand in a URI."""
    return str(node).removeprefix("sip:")
