"""What the bus's key costs, and TLS: replicated sets with and without, in turn; and signatures alone."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import trustme

from bench.cluster import HOSTS, KEY_VARIABLE, TLS_VARIABLE, TRANSPORT_VARIABLE
from bench.codec import microseconds
from bench.embedded import Sets, measure, medians, ratio_of_pairs
from dmqcache.bus.trust.keys import KEY_BYTES, Key, KeyRing, write_key
from dmqcache.bus.trust.signature import Signer, Verdict

#: Bytes of a body: one cell, and a batch.
SIZES = (300, 24_000)
Way = Callable[[], AbstractContextManager[None]]


@contextmanager
def _set(**variables: str) -> Iterator[None]:
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            del os.environ[name]


@contextmanager
def _with_key() -> Iterator[None]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "bus.key"
        file.touch(0o600)
        file.write_text(write_key(os.urandom(KEY_BYTES)))
        with _set(**{KEY_VARIABLE: str(file)}):
            yield


@contextmanager
def _over_tls() -> Iterator[None]:
    with tempfile.TemporaryDirectory() as folder:
        ca = trustme.CA()
        issued = ca.issue_cert(*HOSTS)
        issued.cert_chain_pems[0].write_to_path(f"{folder}/certificate.pem")
        issued.private_key_pem.write_to_path(f"{folder}/key.pem")
        ca.cert_pem.write_to_path(f"{folder}/ca.pem")
        with _set(**{TLS_VARIABLE: folder, TRANSPORT_VARIABLE: "tls"}):
            yield


def _over_tcp() -> AbstractContextManager[None]:
    return _set(**{TRANSPORT_VARIABLE: "tcp"})


def _in_turn(
    runs: int,
    sets: int,
    one: Way,
    other: Way,
) -> tuple[Sets, Sets, float]:
    """Replicated sets in two ways, by runs that take turns, now the one first and now the other: the medians
    of each, and the median of the ratios of the two rates of each turn."""
    ways: list[tuple[Way, list[Sets]]] = [(one, []), (other, [])]
    for number in range(runs):
        for way, found in reversed(ways) if number % 2 else ways:
            with way():
                found.append(measure(sets, sets))
    ours, others = ways[0][1], ways[1][1]
    return medians(ours), medians(others), ratio_of_pairs(ours, others)


def with_and_without(runs: int, sets: int) -> tuple[Sets, Sets, float]:
    """Replicated sets with the key, and without it."""
    return _in_turn(runs, sets, _with_key, nullcontext)


def tls_and_tcp(runs: int, sets: int) -> tuple[Sets, Sets, float]:
    """Replicated sets over TLS, and over TCP."""
    return _in_turn(runs, sets, _over_tls, _over_tcp)


def costs() -> dict[str, float]:
    """Microseconds of one signature: made and judged; of a request, and of the 200 to it."""
    ring = KeyRing((Key(bytes(KEY_BYTES)),))
    one, other = Signer(ring, "a" * 16, lambda: "b" * 16), Signer(ring, "c" * 16, lambda: "d" * 16)
    numbers = iter(range(10**9))
    found = {}
    for size in SIZES:
        lines = "\n".join("x" * length for length in (35, 48, 22, 8, 27, 1, 16, 10))
        body = bytes(size)
        seal = one.sign(lines, body, "d" * 16)
        header = str(seal)
        assert other.judge(header, lines, body, next(numbers))[0] is Verdict.GOOD

        def judge(header: str = header, lines: str = lines, body: bytes = body) -> None:
            other.judge(header, lines, body, next(numbers))

        found[f"sign a message with a body of {size:,} bytes"] = microseconds(
            lambda lines=lines, body=body: one.sign(lines, body, "d" * 16)  # type: ignore[misc]
        )
        found[f"judge its signature, {size:,} bytes"] = microseconds(judge)
    reply = "200\n\ndmqcache-2"
    answer = other.sign_reply(seal, reply, b"")
    assert one.judge_reply(answer, seal, reply, b"")[0] is Verdict.GOOD
    found["sign its 200"] = microseconds(lambda: other.sign_reply(seal, reply, b""))
    found["judge the signature of the 200"] = microseconds(lambda: one.judge_reply(answer, seal, reply, b""))
    return found
