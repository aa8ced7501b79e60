"""The readers of what comes from outside, and what each may answer: a value, or its own kind of refusal."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dmqcache.bus.allow import AllowError, parse_entry
from dmqcache.bus.nodes.node_lines import NodeLines
from dmqcache.bus.peer import Message, Peer, Reply
from dmqcache.bus.sip.headers import MessageError
from dmqcache.bus.sip.sip_message import parse_message
from dmqcache.bus.sip.stream import StreamFramer
from dmqcache.bus.sip.uri import Endpoint
from dmqcache.bus.trust.keys import KEY_BYTES, Key, KeyFileError, read_keys, write_key
from dmqcache.bus.trust.signature import Signature
from dmqcache.config.options import ConfigError
from dmqcache.server.http.rpc import Method, answer
from dmqcache.server.resp.inline import ProtocolError
from dmqcache.server.resp.parse import RequestParser
from dmqcache.store.kamailio import wire_read
from dmqcache.store.kamailio.wire_types import WireError
from dmqcache.store.native.native_message import (
    Answer,
    Done,
    NativeMessage,
    Part,
    Summary,
    Want,
    decode,
    decode_answer,
    encode,
    encode_rows,
)
from dmqcache.store.table.row import RowError
from dmqcache.store.table.settings import TableSettings
from tests.bus.captures import DATAGRAMS
from tests.bus.trust.test_guard import policy
from tests.bus.virtual import Cluster

BODIES = [datagram.partition(b"\r\n\r\n")[2] for datagram in DATAGRAMS]
#: So many reads at most bring one input: it is the time of one step that counts.
PIECES = 500
VERSION = 1_700_000_000_000 << 16
MESSAGES = (
    encode_rows({"users": [("a", "sip:a", VERSION), ("n", 5, VERSION, 60_000)]}, {"users": VERSION}, True),
    encode(NativeMessage(ask={"users": [(1, 3), (2, 40)]}, done=Done(7, [1, 2, 3]))),
    encode(NativeMessage(want=Want(7, "users", [Part(1, 3, [5, 6])], tombstones=True))),
)
ANSWERS = (encode(Answer(1_700_000_000_000, sums={"users": Summary(5, VERSION, 2, [[1, 2]], 9)}, waiting=3)),)


@dataclass(frozen=True)
class Target:
    """One reader."""

    corpus: Sequence[bytes]
    read: Callable[[bytes], object]
    #: How it says that it does not take something.
    refusals: tuple[type[Exception], ...] = ()


def _sip(data: bytes) -> None:
    parse_message(data, stream=len(data) % 2 == 0).check()


def _framer(data: bytes) -> None:
    framer = StreamFramer(200_000)
    step = max(1 + len(data) % 97, len(data) // PIECES)
    for start in range(0, len(data), step):
        framer.feed(data[start : start + step])


def _resp(data: bytes) -> None:
    parser = RequestParser()
    step = max(1 + len(data) % 61, len(data) // PIECES)
    for start in range(0, len(data), step):
        parser.feed(data[start : start + step])


class _Echo(Peer):
    def handle(self, message: Message) -> Reply:
        return Reply(200, body=message.body)


class _WholeBus:
    """A bus as a stranger sees it: every 5,000 messages a new one, so that virtual time costs nothing."""

    def __init__(self, keyed: bool) -> None:
        self._keyed = keyed
        self._count = 0
        self._begin()

    def _begin(self) -> None:
        self._cluster = Cluster()
        self._bus = self._cluster.add("127.0.0.11", key=policy() if self._keyed else None)
        self._bus.register_peer(_Echo("htable"))

    def __call__(self, data: bytes) -> None:
        self._count += 1
        if self._count % 5_000 == 0:
            self._begin()
        logging.disable(logging.CRITICAL)
        try:
            self._bus.receive(data, Endpoint("udp", f"127.0.1.{self._count % 200}", 5060))
            self._cluster.clock.run(0.01)
        finally:
            logging.disable(logging.NOTSET)
        self._cluster.net.log.clear()
        if self._bus.counters.drops["internal_error"] or sum(self._bus.counters.handler_errors.values()):
            raise AssertionError("an exception came out of the core: the log has it")


_METHODS = {"htable.get": Method(lambda table, key: key, ("htable", "key"))}
_CALLS = (
    b'{"jsonrpc":"2.0","method":"htable.get","params":["users","alice"],"id":1}',
    b'[{"jsonrpc":"2.0","method":"htable.get","params":{"htable":"users","key":"a"}},{"method":"x","id":"y"}]',
)
_KEY = write_key(bytes(range(KEY_BYTES))).encode()
_SEAL = str(Signature(Key(bytes(KEY_BYTES)).name, "a" * 16, "b" * 16, "c" * 32)).encode()
_TABLE = b"users=>size=12;autoexpire=3600;initval=0;updateexpire=1;dmqreplicate=1;"


def _text(read: Callable[[str], object]) -> Callable[[bytes], object]:
    return lambda data: read(data.decode("utf-8", "surrogateescape"))


#: By name. Each has state of its own at most.
TARGETS: Mapping[str, Target] = {
    "sip": Target(DATAGRAMS, _sip, (MessageError,)),
    "stream": Target([one * 2 for one in DATAGRAMS], _framer, (MessageError,)),
    "bus": Target(DATAGRAMS, _WholeBus(keyed=False)),
    "bus_with_key": Target(DATAGRAMS, _WholeBus(keyed=True)),
    "signature": Target([_SEAL], _text(Signature.parse)),
    "node_list": Target(
        [b"sip:127.0.0.1:5060;status=active;instance=ab\r\nsip:[::1]:5062;transport=tcp;status=disabled\r\n"],
        lambda data: NodeLines(Counter()).read(data),
    ),
    "htable": Target([body for body in BODIES if body[:1] == b"{"], wire_read.read, (WireError,)),
    "native": Target(MESSAGES, decode, (RowError,)),
    "native_answer": Target(ANSWERS, decode_answer, (RowError,)),
    "resp": Target(
        [b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n", b"SET a 'b\\x41'\r\n"], _resp, (ProtocolError,)
    ),
    "rpc": Target(_CALLS, lambda data: asyncio.run(answer(_METHODS, data))),
    "table": Target([_TABLE], _text(TableSettings.parse), (ValueError, ConfigError)),
    "allow": Target(
        [b"10.0.0.0/24", b"fd00::/8", b"registrar.example.org"], _text(parse_entry), (AllowError,)
    ),
    "keys": Target([_KEY, _KEY + b"\n# old\n"], _text(read_keys), (KeyFileError,)),
}
