"""The harness itself against two real Kamailio nodes: what it says of them, and of their release, holds."""

import itertools
import socket
from collections.abc import Iterator

import pytest

from tests.interop.daemon import wait_until
from tests.interop.kamailio import USERS, Kamailio, RPCError
from tests.interop.releases import RELEASES

pytestmark = [pytest.mark.interop, pytest.mark.parametrize("line", RELEASES, scope="module")]

TABLES = (USERS, "calls=>size=8;initval=0;dmqreplicate=1;")
A, B = "127.0.0.21", "127.0.0.22"


@pytest.fixture(scope="module")
def pair(line: str) -> Iterator[tuple[Kamailio, Kamailio]]:
    seeds = [f"sip:{A}:5060", f"sip:{B}:5060"]
    with (
        Kamailio(A, release=RELEASES[line], tables=TABLES, seeds=seeds[1:]) as one,
        Kamailio(B, release=RELEASES[line], tables=TABLES, seeds=seeds[:1]) as two,
    ):
        for node in (one, two):
            node.wait_nodes(seeds, 20)
        yield one, two


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("plain", "x"),
        ("q'\"\\ /=>", "\"a\\' b"),
        ("\udcff\udc80é", "\udcff\u20ac\n\r\t\x01"),
        ("empty", ""),
        ("digits", "34"),
        ("long", "x" * 20_000),
        ("number", -2147483648),
    ],
)
def test_values_are_carried_unchanged(pair: tuple[Kamailio, Kamailio], key: str, value: str | int) -> None:
    one, two = pair
    one.set("users", key, value)
    wait_until(lambda: two.get("users", key) == value, 15, lambda: f"{value!r}: {two.get('users', key)!r}")
    assert one.get("users", key) == value
    assert one.dump("users")[key] == two.dump("users")[key] == value


def test_operations_are_replicated(pair: tuple[Kamailio, Kamailio]) -> None:
    one, two = pair
    for step, number in ((one.incr, 1), (one.incr, 2), (one.decr, 1)):
        assert step("calls", "n") == number
        # Told at once, two of them may change places among the other one's workers.
        wait_until(lambda number=number: two.get("calls", "n") == number, 15, "n")  # type: ignore[misc]
    for key in ("op-del", "op-re1", "op-re2", "op-keep"):
        one.set_str("users", key, f"value of {key}")
    one.set_str("users", "op-ttl", "x")
    # Of a value and its time, told apart, the other one's workers may take the time first, in vain.
    wait_until(lambda: two.get("users", "op-ttl") == "x", 15, "op-ttl")
    one.expire("users", "op-ttl", 500)
    one.delete("users", "op-del")
    one.remove_name_regex("users", "^OP-RE[0-9]$")
    one.remove_name_prefix("users", "no-such")
    one.remove_value_prefix("users", "value of op-k")

    def seen() -> bool:
        left = [key for key in two.dump("users") if key.startswith("op-")]
        return left == ["op-ttl"] and 490 <= (two.ttl("users", "op-ttl") or 0) <= 500

    wait_until(seen, 15, lambda: str(two.dump("users").keys()))
    assert two.get("calls", "n") == 1 and two.ttl("calls", "n") is None
    assert two.get("users", "op-del") is None


def test_fast_sets_arrive(pair: tuple[Kamailio, Kamailio]) -> None:
    one, two = pair
    before = two.count("users")
    one.fast_sets(2000, prefix="fast-")
    two.wait_count("users", before + 2000, 20)
    assert two.get("users", "fast-1999") == "v1999"


def test_errors_are_told(pair: tuple[Kamailio, Kamailio]) -> None:
    with pytest.raises(RPCError, match="No such htable"):
        pair[0].rpc("htable.dump", "no-such-table")


def test_a_killed_node_restarts_empty_and_gets_the_table(pair: tuple[Kamailio, Kamailio]) -> None:
    one, two = pair
    one.set_str("users", "before", "kill")
    # A batch of Kamailio has up to some 60,000 bytes: more than a datagram holds with the long value, and in
    # any case more than a newer release itself receives by default.
    one.delete("users", "long")
    one.remove_name_prefix("users", "fast-")
    cells = one.count("users")
    two.kill()
    with pytest.raises(OSError):
        two.get("users", "before")
    two.restart()
    two.wait_count("users", cells, 20)
    assert two.get("users", "before") == "kill"


def test_the_release_is_the_one_that_is_meant(pair: tuple[Kamailio, Kamailio], line: str) -> None:
    assert pair[0].rpc("core.version").startswith(f"kamailio {line}.")


def test_how_a_seed_that_does_not_answer_is_shown(line: str) -> None:
    seed = "sip:127.0.0.24:5060"
    with Kamailio("127.0.0.23", release=RELEASES[line], seeds=[seed]) as node:
        assert node.nodes() == {node.uri: "active", seed: RELEASES[line].unanswered_seed}


def _options(branch: str, length: int) -> bytes:
    """A request of exactly this many bytes, which the script answers with a 405."""
    head = (
        f"OPTIONS sip:{A}:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5099;rport;branch=z9hG4bK{branch}\r\n"
        f"From: <sip:x@127.0.0.1>;tag=1\r\nTo: <sip:{A}>\r\nCall-ID: {branch}\r\nCSeq: 1 OPTIONS\r\n"
        "Content-Length: 0\r\nX: "
    )
    return head.encode() + b"x" * (length - len(head) - 4) + b"\r\n\r\n"


@pytest.mark.parametrize("length", [32_766, 32_767, 60_000])
def test_the_longest_message_that_is_received(
    pair: tuple[Kamailio, Kamailio], line: str, length: int
) -> None:
    most = RELEASES[line].receives_at_most
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.bind(("127.0.0.1", 0))
        asker.settimeout(5.0)
        asker.sendto(_options("long", length), (A, 5060))
        # Each of its processes has answered several times by the end of these.
        answers = []
        for number in itertools.count():
            asker.sendto(_options(f"short{number}", 600), (A, 5060))
            answers.append(asker.recv(65535))
            if number >= 50 and (most is not None or any(b"Call-ID: long" in answer for answer in answers)):
                break
    assert all(b" 405 " in answer for answer in answers)
    assert any(b"Call-ID: long" in answer for answer in answers) == (most is None or length <= most)


def test_a_node_that_stops_says_no_goodbye(line: str) -> None:
    """Up to 6.1 none is heard, whatever the documentation says: the others find out by themselves."""
    release, uris = RELEASES[line], ["sip:127.0.0.25:5060", "sip:127.0.0.26:5060"]
    with (
        Kamailio("127.0.0.25", release=release, seeds=uris[1:]) as stays,
        Kamailio("127.0.0.26", release=release, seeds=uris[:1]) as leaves,
    ):
        stays.wait_nodes(uris, 20)
        leaves.stop()
        assert stays.nodes()[leaves.uri] == "active"
