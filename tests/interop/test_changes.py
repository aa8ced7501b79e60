"""Each kind of change, made on each kind of node, is seen on all others."""

from collections.abc import Iterator

import pytest

from tests.interop.cluster import Cluster
from tests.interop.kamailio import Value
from tests.interop.lineups import each_writer

pytestmark = [pytest.mark.interop, each_writer]

VALUES: dict[str, Value] = {
    "string": "sip:alice@example.com",
    "empty": "",
    "digits": "34",
    "quotes": '"a\\\' {b}: [c], d"',
    "backslashes": "\\n \\u0041 \\\\",
    "utf8": "Grüße, 你好, \U0001f600",
    "raw": "\udcff\udc80\udcc3 half a character",
    "controls": "\x01\t\r\n\x1f\x7f",
    "long": "x" * 20_000,
    "integer": 12345,
    "zero": 0,
    "least": -(2**31),
    "greatest": 2**31 - 1,
}


@pytest.fixture(scope="module")
def cluster(lineup: str) -> Iterator[Cluster]:
    with Cluster("127.0.31.", lineup=lineup) as cluster:
        yield cluster.join()


@pytest.mark.parametrize("kind", VALUES)
def test_set(cluster: Cluster, writer: str, kind: str) -> None:
    cluster[writer].set("users", f"set {writer} {kind}", VALUES[kind])
    cluster.wait_value("users", f"set {writer} {kind}", VALUES[kind])


@pytest.mark.parametrize("kind", ["empty", "quotes", "backslashes", "utf8", "raw", "controls"])
def test_keys(cluster: Cluster, writer: str, kind: str) -> None:
    key = f"{VALUES[kind]} as a key of {writer}"
    cluster[writer].set_str("users", key, "1")
    cluster.wait_value("users", key, "1")
    cluster[writer].delete("users", key)
    cluster.wait_value("users", key, None)


def test_values_replace_each_other(cluster: Cluster, writer: str) -> None:
    key = f"replaced by {writer}"
    for value in ("short", 7, "a string that is longer than all before", "", -1, "x"):
        cluster[writer].set("users", key, value)
        cluster.wait_value("users", key, value)


def test_a_key_changed_by_turns(cluster: Cluster, writer: str) -> None:
    key = f"turns {writer}"
    for turn in range(3):
        for name in (writer, "k2", "d2"):
            cluster[name].set_str("users", key, f"{turn} {name}")
            cluster.wait_value("users", key, f"{turn} {name}")


def _set_with_time(cluster: Cluster, writer: str, key: str, ttl: int) -> None:
    """A Kamailio tells value and time apart, and the workers of another one may take the time first, in
    vain, whoever else is in the cluster. So the value arrives before the time is given."""
    if writer.startswith("k"):
        cluster[writer].set_str("users", key, "x")
        cluster.wait_value("users", key, "x")
        cluster[writer].expire("users", key, ttl)
    else:
        cluster[writer].set_str("users", key, "x", ttl=ttl)


def test_time_to_live(cluster: Cluster, writer: str) -> None:
    long, short, later = (f"ttl {name} {writer}" for name in ("long", "short", "later"))
    _set_with_time(cluster, writer, long, 500)
    _set_with_time(cluster, writer, short, 2)
    cluster[writer].set_str("users", later, "x")
    cluster.wait_all(lambda node: 495 <= (node.ttl("users", long) or 0) <= 500, True)
    cluster.wait_all(lambda node: (node.ttl("users", later) or 0) > 3500, True)
    cluster[writer].expire("users", later, 100)
    cluster.wait_all(lambda node: 95 <= (node.ttl("users", later) or 0) <= 100, True)
    cluster.wait_value("users", short, None)
    cluster.wait_value("users", long, "x")


def test_a_new_value_gets_the_tables_own_time(cluster: Cluster, writer: str) -> None:
    key = f"ttl renewed {writer}"
    _set_with_time(cluster, writer, key, 50)
    cluster.wait_all(lambda node: 45 <= (node.ttl("users", key) or 0) <= 50, True)
    cluster[writer].set_str("users", key, "longer than before")
    cluster.wait_all(lambda node: (node.ttl("users", key) or 0) > 3500, True)
    cluster.wait_value("users", key, "longer than before")


def test_delete(cluster: Cluster, writer: str) -> None:
    keys = [f"delete {writer} {number}" for number in range(3)]
    for key in keys:
        cluster[writer].set_str("users", key, "x")
        cluster.wait_value("users", key, "x")
    cluster[writer].delete("users", keys[1])
    cluster.wait_value("users", keys[1], None)
    cluster["k2" if writer == "d1" else "d2"].delete("users", keys[0])
    cluster.wait_value("users", keys[0], None)
    cluster.wait_value("users", keys[2], "x")


@pytest.mark.parametrize("how", ["name regex", "name prefix", "value regex", "value prefix"])
def test_removal_by_pattern(cluster: Cluster, writer: str, how: str) -> None:
    word = how.replace(" ", "-") + f"-{writer}"
    cells = {f"{word}/a": f"A-{word}", f"{word}/b": f"B-{word}", f"{word}/c": f"C-{word}"}
    for key, value in cells.items():
        cluster["k2"].set_str("users", key, value)
        cluster.wait_value("users", key, value)
    node = cluster[writer]
    remove = {
        "name regex": lambda: node.remove_name_regex("users", f"^{word.upper()}/[AB]$"),
        "name prefix": lambda: node.remove_name_prefix("users", f"{word}/a"),
        "value regex": lambda: node.remove_value_regex("users", f"^[ab]-{word}$"),
        "value prefix": lambda: node.remove_value_prefix("users", f"B-{word}"),
    }
    gone = {"name prefix": "a", "value prefix": "b"}.get(how, "ab")
    remove[how]()
    for key, value in cells.items():
        cluster.wait_value("users", key, None if key[-1] in gone else value)


def test_increment(cluster: Cluster, writer: str) -> None:
    key, other = f"count {writer}", "d2" if writer == "k1" else "k2"
    for expected, name in enumerate((writer, writer, other, writer, other), start=1):
        assert cluster[name].incr("calls", key) == expected
        cluster.wait_value("calls", key, expected)
    assert cluster[writer].decr("calls", key) == 4
    cluster.wait_value("calls", key, 4)
    assert cluster[writer].ttl("calls", key) is None
