"""Values of 1 to 60 kB mixed with small keys: each small one is there within 2 s."""

from collections.abc import Iterator

import pytest

from tests.interop.cluster import Cluster
from tests.interop.daemon import wait_until
from tests.interop.lineups import each_lineup

pytestmark = [pytest.mark.interop, each_lineup]

LONG = range(1_000, 60_000, 1_000)
"""Characters; the bus over UDP takes values of up to 56,000, a Kamailio over TCP messages of 60,000."""
MOST_UDP = 55_000
SMALL_EACH = 5
"""Small keys after each long one."""
ARRIVAL_S = 10.0
"""Less than what is left unanswered (16 s) would hold up others; a machine may stand still for a while."""


@pytest.fixture(scope="module", params=["udp", "tcp"])
def cluster(request: pytest.FixtureRequest, lineup: str) -> Iterator[Cluster]:
    with Cluster("127.0.47.", lineup=lineup, transport=request.param) as cluster:
        yield cluster.join()


def _lengths(cluster: Cluster) -> list[int]:
    return [length for length in LONG if length <= MOST_UDP or "tcp" in cluster["d1"].uri]


@pytest.mark.parametrize("writer", ["d1", "d2"])
def test_small_keys_do_not_wait_for_long_values(cluster: Cluster, writer: str) -> None:
    node, lengths = cluster.dmqcache(writer), _lengths(cluster)
    cells = [(f"{writer} long {length}", "x" * length) for length in lengths]
    small = len(lengths) * SMALL_EACH
    mixed = [
        cell
        for number, long in enumerate(cells)
        for cell in (long, *((f"{writer} small {number * SMALL_EACH + i}", "v") for i in range(SMALL_EACH)))
    ]
    node.set_many("users", mixed)
    cluster.wait_all(lambda other: other.missing(small, prefix=f"{writer} small "), 0, ARRIVAL_S)
    # Again: changes of keys beside long values that are on their way, or are kept back.
    node.set_many(
        "users", [(key, f"{value}." if len(value) < 99 else f"y{value[1:]}") for key, value in mixed]
    )
    cluster.wait_all(lambda other: other.get("users", f"{writer} small {small - 1}"), "v.", ARRIVAL_S)
    for name, other in cluster.others(writer).items():
        most = max(lengths)
        if name.startswith("k") and cluster.lineup.release(name).receives_at_most is not None:
            most = 31_000
        wait_until(
            lambda other=other, most=most: all(  # type: ignore[misc]
                other.get("users", f"{writer} long {length}") == "y" + "x" * (length - 1)
                for length in lengths
                if length <= most
            ),
            30,
            lambda name=name: f"all long values on {name}",  # type: ignore[misc]
        )


def test_what_is_kept_back_is_shown(cluster: Cluster) -> None:
    node = cluster.dmqcache("d1")
    node.set_str("users", "too long", "z" * 50_000)
    node.set_str("users", "after it", "v")
    cluster.wait_value("users", "after it", "v", ARRIVAL_S)
    short = {
        cluster[name].uri
        for name in cluster.names
        if name.startswith("k") and cluster.lineup.release(name).receives_at_most is not None
    }
    listed = node.command("nodes").stdout.decode()
    for line in listed.splitlines():
        if any(uri in line for uri in short):
            assert "too_large" in line, listed
        else:
            assert "too_large" not in line, listed
    assert (node.metric("dmqcache_changes_withheld_total", reason="too_large") > 0) == bool(short)
    log = node.daemon.log.read_text("utf-8", "replace")
    for uri in short:
        assert len([line for line in log.splitlines() if uri in line and "too_large" in line]) == 1


def test_a_value_that_shrinks_is_told_and_no_longer_shown(cluster: Cluster) -> None:
    node = cluster.dmqcache("d1")
    node.set_str("users", "shrinks", "z" * 50_000)
    node.set_str("users", "shrinks", "z" * 500)
    cluster.wait_value("users", "shrinks", "z" * 500, ARRIVAL_S)
