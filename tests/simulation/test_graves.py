"""What nodes need not remember: a judge must excuse what comes back of it, and nothing else."""

from __future__ import annotations

from tests.disk.shelf import Shelf
from tests.simulation.cluster import Cluster
from tests.simulation.graves import Graves
from tests.simulation.history import NOTHING, History
from tests.simulation.runtime import World
from tests.store_options import store_options


def test_an_end_is_forgotten_when_so_many_are_newer_in_its_table() -> None:
    now = 9.0
    graves, history = Graves(2, lambda: now), History(8.0)
    write = history.add("a#1", 0, 0, ("x",), NOTHING, ends=3.0)
    graves.bury("t", "k", write, 3.0)
    graves.add("t", "k1", 50.0)
    graves.add("other", "k2", 50.0)
    assert not graves.forgets("t", write)
    graves.add("t", "k2", 50.0)
    assert graves.forgets("t", write)
    # Of what never ends nothing is to be remembered.
    assert not graves.forgets("t", history.add("a#1", 1, 1, ("y",), NOTHING))
    assert not graves.forgets("t", None)


def test_an_end_is_forgotten_when_so_many_that_were_written_before_came_to_theirs_later() -> None:
    now = 29.0
    graves, history = Graves(2, lambda: now), History(8.0)
    graves.add("t", "earlier", 2.0)
    graves.add("t", "later", 20.0)
    graves.add("t", "latest", 30.0)
    write = history.add("a#1", 0, 0, ("x",), NOTHING, ends=3.0)
    graves.bury("t", "k", write, 3.0)
    assert not graves.forgets("t", write)
    now = 30.0
    assert graves.forgets("t", write)


def test_a_value_is_over_when_the_time_of_its_write_is() -> None:
    history = History(8.0)
    write = history.add("a#1", 0, 0, ("x",), NOTHING, ends=3.0)
    history.add("a#1", 1, 1, ("y",), NOTHING)
    assert history.over("x", 2.0) == []
    assert history.over("x", 4.0) == [write]
    assert history.over("y", 4.0) == []


def test_only_a_node_with_a_disk_that_is_not_ready_may_give_up_what_it_read() -> None:
    cluster = Cluster(World(1), ("dmqcache",) * 2, ("t",), store_options())
    with_disk, without = cluster.machines
    with_disk.shelf = Shelf()
    cluster.start()
    graves = Graves(1, lambda: 0.0)
    assert not graves.may_give_up(with_disk, "t")
    graves.add("t", "k", 0.0)
    assert graves.may_give_up(with_disk, "t")
    assert not graves.may_give_up(without, "t") and not graves.may_give_up(with_disk, "other")
    cluster.run_until(lambda: with_disk.store.ready, 60)
    assert not graves.may_give_up(with_disk, "t")
