"""The harness itself against two real Kamailio nodes: what it says of them is what they do."""

from collections.abc import Iterator

import pytest

from tests.interop.daemon import wait_until
from tests.interop.kamailio import USERS, Kamailio, RPCError

pytestmark = pytest.mark.interop

TABLES = (USERS, "calls=>size=8;initval=0;dmqreplicate=1;")
A, B = "127.0.0.21", "127.0.0.22"


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Kamailio, Kamailio]]:
    seeds = [f"sip:{A}:5060", f"sip:{B}:5060"]
    with (
        Kamailio(A, tables=TABLES, seeds=seeds[1:]) as one,
        Kamailio(B, tables=TABLES, seeds=seeds[:1]) as two,
    ):
        for node in (one, two):
            node.wait_nodes(seeds, 5)
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
    wait_until(lambda: two.get("users", key) == value, 3, lambda: f"{value!r}: {two.get('users', key)!r}")
    assert one.get("users", key) == value
    assert one.dump("users")[key] == two.dump("users")[key] == value


def test_operations_are_replicated(pair: tuple[Kamailio, Kamailio]) -> None:
    one, two = pair
    assert [one.incr("calls", "n"), one.incr("calls", "n"), one.decr("calls", "n")] == [1, 2, 1]
    for key in ("op-del", "op-re1", "op-re2", "op-keep"):
        one.set_str("users", key, f"value of {key}")
    one.set_str("users", "op-ttl", "x", ttl=500)
    one.delete("users", "op-del")
    one.remove_name_regex("users", "^OP-RE[0-9]$")
    one.remove_name_prefix("users", "no-such")
    one.remove_value_prefix("users", "value of op-k")

    def seen() -> bool:
        left = [key for key in two.dump("users") if key.startswith("op-")]
        return left == ["op-ttl"] and 490 <= (two.ttl("users", "op-ttl") or 0) <= 500

    wait_until(seen, 3, lambda: str(two.dump("users").keys()))
    assert two.get("calls", "n") == 1 and two.ttl("calls", "n") is None
    assert two.get("users", "op-del") is None


def test_fast_sets_arrive(pair: tuple[Kamailio, Kamailio]) -> None:
    one, two = pair
    before = two.count("users")
    one.fast_sets(2000, prefix="fast-")
    two.wait_count("users", before + 2000, 10)
    assert two.get("users", "fast-1999") == "v1999"


def test_errors_are_told(pair: tuple[Kamailio, Kamailio]) -> None:
    with pytest.raises(RPCError, match="No such htable"):
        pair[0].rpc("htable.dump", "no-such-table")


def test_a_killed_node_restarts_empty_and_gets_the_table(pair: tuple[Kamailio, Kamailio]) -> None:
    one, two = pair
    one.set_str("users", "before", "kill")
    # Kamailio closes a batch of about 60,000 bytes only after adding a cell: with this one it can exceed
    # what a datagram holds, and the whole batch is lost.
    one.delete("users", "long")
    cells = one.count("users")
    two.kill()
    with pytest.raises(OSError):
        two.get("users", "before")
    two.restart()
    two.wait_count("users", cells, 5)
    assert two.get("users", "before") == "kill"
