"""Each way in which a Kamailio removes without a word, beside each line-up: a flush, a reload, a reset ...

A cluster of each line-up, side by side: what takes minutes takes them once. Each way to remove has a table of
its own; the Kamailio nodes know nothing of the setting.
"""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.interop.cluster import Cluster
from tests.interop.daemon import wait_until
from tests.interop.kamailio import Kamailio, Value
from tests.interop.lineups import LINEUPS, Lineup

pytestmark = pytest.mark.interop

KEYS, OTHERS = 60, 20
"""Keys of each table: so many that are removed, and so many more where others stay."""
OUTCOMES = ("leave", "refill", "follow")
WAYS = ("reload", "reset", "iterator", "end", "containing")
"""On one Kamailio, in a table whose removals are followed."""
LOADED = {f"loaded{number}": "from the database" for number in range(5)}
"""Rows of the database from the beginning, and those that are there when it is loaded anew."""
ADDED = {f"added{number}": "from the database" for number in range(5)}
LOOK_S = 12.0
"""A comparison and its rounds."""
SETTLED_S = 34.0
"""Nothing of before is under way any more, on either side."""
ROUTINE_S = 90.0
"""A routine comparison with its rounds; here of five clusters on one machine."""
JOIN_S = 30.0

Clusters = dict[str, Cluster]


def _can(lineup: Lineup, way: str) -> bool:
    """Whether all of a line-up know a way to remove."""
    if way == "end":
        return all(release.removes_by_end for release in lineup.releases)
    if way == "containing":
        return all(release.removes_by_part for release in lineup.releases)
    return True


# By the test, then by the line-up: what is removed is looked at everywhere before anything else is done.
each_lineup = pytest.mark.parametrize("lineup", LINEUPS)
each_that_can = pytest.mark.parametrize(
    ("table", "lineup"),
    [(way, name) for way in ("end", "containing") for name, one in LINEUPS.items() if _can(one, way)],
)


def _tables(lineup: Lineup) -> list[str]:
    return [*OUTCOMES, *(way for way in WAYS if _can(lineup, way))]


def _cluster(lineup: str, number: int, folder: Path) -> Cluster:
    names = _tables(LINEUPS[lineup])
    declared = {name: f"{name}=>size=8;autoexpire=3600;dmqreplicate=1;" for name in names}
    declared["reload"] += "dbtable=reload;"
    return Cluster(
        f"127.0.{number}.",
        lineup=lineup,
        shm_mb=64,
        tables=list(declared.values()),
        dmqcache_tables=[
            f"{name}=>autoexpire=3600;removals={name if name in OUTCOMES else 'follow'}" for name in declared
        ],
        # Read anew each time.
        kamailio_cfg=f'modparam("db_text","db_mode",1)\nmodparam("htable","db_url","text://{folder}")\n',
    )


def _write_database(folder: Path, cells: dict[str, str]) -> None:
    """The files of Kamailio's module db_text: a line of columns, then rows."""
    columns = "key_name(string) key_type(int) value_type(int) key_value(string) expires(int)\n"
    rows = "".join(f"{key}:0:0:{value}:0\n" for key, value in cells.items())
    (folder / "version").write_text("table_name(string) table_version(int)\nreload:2\n")
    (folder / "reload").write_text(columns + rows)


def _kamailios(cluster: Cluster) -> list[Kamailio]:
    return [cluster.kamailio(name) for name in cluster.names if name.startswith("k")]


def _pass(seconds: float) -> None:
    begun = time.monotonic()
    wait_until(lambda: time.monotonic() > begun + seconds, seconds + 5, "some time passes")


def _compare(*clusters: Cluster) -> None:
    """Have all compared with, so that each Kamailio is seen to hold what it holds."""
    for cluster in clusters:
        cluster.dmqcache("d1").rpc("htable.dmqresync", OUTCOMES[0], timeout=30.0)
    _pass(LOOK_S)


def _fill(cluster: Cluster) -> None:
    names = _tables(cluster.lineup)
    for table in names:
        more = OTHERS if table in ("end", "containing") else 0
        keys = [f"k{number} gone." for number in range(KEYS)] + [f"k{number} stays" for number in range(more)]
        cluster.dmqcache("d1").set_many(table, ((key, "v") for key in keys))
        for other in cluster.others("d1").values():
            other.wait_count(table, len(keys) + (len(LOADED) if table == "reload" else 0), JOIN_S)


def _remove(cluster: Cluster) -> None:
    """A flush on all Kamailio nodes; each other way on one of them."""
    for kamailio in _kamailios(cluster):
        for table in OUTCOMES:
            kamailio.flush(table)
            assert kamailio.count(table) == 0
    first = cluster.kamailio("k1")
    first.reload("reload")
    first.reset("reset")
    first.remove_by_iterator("iterator")
    assert _is_of_database(first.dump("reload"))
    assert first.count("reset") == first.count("iterator") == 0
    if _can(cluster.lineup, "end"):
        first.remove_name_end("end", "gone.")
        assert first.count("end") == OTHERS
    if _can(cluster.lineup, "containing"):
        first.remove_name_containing("containing", "gone")
        assert first.count("containing") == OTHERS


def _is_of_database(table: dict[str, Value]) -> bool:
    """Whether a table is what its database says: not every db_text reads a file anew that has changed."""
    return table in (LOADED, LOADED | ADDED)


@pytest.fixture(scope="module")
def clusters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clusters]:
    folder = tmp_path_factory.mktemp("database")
    _write_database(folder, LOADED)
    with ExitStack() as stack, ThreadPoolExecutor(len(LINEUPS)) as pool:
        clusters = {
            name: stack.enter_context(_cluster(name, 48 + number, folder))
            for number, name in enumerate(LINEUPS)
        }
        for cluster in clusters.values():
            cluster.join(timeout=JOIN_S)
        list(pool.map(_fill, clusters.values()))
        _pass(SETTLED_S)
        _compare(*clusters.values())
        _write_database(folder, LOADED | ADDED)
        list(pool.map(_remove, clusters.values()))
        yield clusters


@pytest.fixture
def cluster(clusters: Clusters, lineup: str) -> Cluster:
    return clusters[lineup]


def _log(cluster: Cluster) -> str:
    nodes = (cluster.dmqcache(name) for name in ("d1", "d2"))
    return "".join(node.daemon.log.read_text("utf-8", "replace") for node in nodes)


@each_lineup
def test_a_flush_is_refilled(cluster: Cluster) -> None:
    cluster.wait_all(lambda other: other.count("refill"), KEYS, ROUTINE_S)
    assert f"lacks {KEYS} of {KEYS} cells" in _log(cluster)


@each_lineup
def test_a_flush_is_followed(cluster: Cluster) -> None:
    cluster.wait_all(lambda other: other.count("follow"), 0, ROUTINE_S)
    assert f"table follow: {KEYS} of {KEYS} cells were removed on" in _log(cluster)


@each_lineup
def test_a_flush_is_left_alone(cluster: Cluster) -> None:
    wait_until(
        lambda: f"table leave: {KEYS} of {KEYS} cells were removed on" in _log(cluster),
        ROUTINE_S,
        cluster.diagnosis,
    )
    for name in ("d1", "d2"):
        assert cluster[name].count("leave") == KEYS
    for kamailio in _kamailios(cluster):
        assert kamailio.count("leave") == 0


@each_lineup
def test_a_reload_brings_the_rows_of_the_database_to_all(cluster: Cluster) -> None:
    rows = cluster["k1"].dump("reload")
    assert _is_of_database(rows)
    cluster.wait_all(lambda other: other.dump("reload"), rows, ROUTINE_S)


@each_lineup
@pytest.mark.parametrize("table", ["reset", "iterator"])
def test_what_a_script_removes_without_a_word_is_followed(cluster: Cluster, table: str) -> None:
    cluster.wait_all(lambda other: other.count(table), 0, ROUTINE_S)


@each_that_can
def test_what_is_removed_by_the_end_or_a_part_of_its_name_is_followed(cluster: Cluster, table: str) -> None:
    """Kamailio tells it without the text; the other Kamailio nodes answer 500 and keep the cells."""
    cluster.wait_all(lambda other: other.count(table), OTHERS, ROUTINE_S)
    assert f"table {table}: {cluster['k1'].uri} removes keys without saying which" in _log(cluster)


@pytest.fixture(scope="module")
def later(clusters: Clusters) -> None:
    """New writes, and a FLUSHDB on one dmqcache node; then all is compared."""
    for cluster in clusters.values():
        cluster["d1"].set_str("leave", "k0 gone.", "new")
        cluster["k1"].set_str("follow", "new", "v")
        cluster.wait_value("leave", "k0 gone.", "new")
        cluster.wait_value("follow", "new", "v")
        cluster.dmqcache("d2").call("refill", "FLUSHDB")
        cluster.wait_all(lambda other: other.count("refill"), 0, 20)
        cluster["k1"].set_str("refill", "after", "v")
        cluster.wait_value("refill", "after", "v")
    _compare(*clusters.values())


@each_lineup
def test_what_is_written_later_is_there_and_what_is_gone_stays_gone(later: None, cluster: Cluster) -> None:
    for kamailio in _kamailios(cluster):
        assert kamailio.dump("leave") == {"k0 gone.": "new"}
    for node in cluster.running.values():
        assert node.dump("follow") == {"new": "v"}


@each_lineup
def test_a_table_is_emptied_on_all_nodes_by_one_flushdb(later: None, cluster: Cluster) -> None:
    for node in cluster.running.values():
        assert node.dump("refill") == {"after": "v"}
