"""The usual uses of Node's Redis clients, caches, sessions, limiters and locks beside a real Redis: the same
asserts.

The uses are in node/*.js, a file for each library. A use of what a cell cannot be (a list, a hash, a sorted
set) ends on a dmqcache node with Redis' own words for an unknown command. Where Node or its libraries cannot
be had, all of them are skipped, and the reason says what is missing.
"""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.dmqcache_node import DmqcacheNode
from tests.interop.node_libraries import PROGRAMS, modules, node
from tests.interop.process import ROOT
from tests.interop.releases import NotInstalled
from tests.server.resp.rival import redis_server

pytestmark = pytest.mark.interop

#: Seconds for all uses of all libraries; each has a limit of its own in run.js.
PATIENCE_S = 300.0
LIBRARIES = [
    PROGRAMS / f"{library}.js"
    for library in (
        "ioredis",
        "node_redis",
        "connect_redis",
        "keyv",
        "cache_manager",
        "rate_limiter_flexible",
        "rate_limit_redis",
        "redlock",
    )
]
USES = [
    use
    for library in LIBRARIES
    for use in re.findall(r"^exports\.(\w+) =", library.read_text(), re.MULTILINE)
]
#: What a use needs and a cache of cells has not, by the use's name.
NEEDS = {
    "ioredis_hashes": "hashes",
    "ioredis_queues_of_lists": "lists",
    "node_redis_hashes": "hashes",
    "node_redis_ranks_of_sorted_sets": "sorted sets",
}

Outcomes = dict[str, str | None]


def _outcomes(program: str, libraries: Path, url: str) -> Outcomes:
    """What went wrong in each use, None if nothing did."""
    command = [program, str(PROGRAMS / "run.js"), url, *map(str, LIBRARIES)]
    environ = os.environ | {"NODE_PATH": str(libraries)}
    done = subprocess.run(
        command, capture_output=True, text=True, env=environ, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {line["use"]: line["error"] for line in map(json.loads, done.stdout.splitlines())}


@pytest.fixture(scope="module", params=["redis", "dmqcache"])
def outcomes(request: pytest.FixtureRequest) -> Iterator[tuple[str, Outcomes]]:
    """Who answered, and what became of all uses."""
    try:
        program, libraries = node(), modules()
    except NotInstalled as missing:
        pytest.skip(str(missing))
    if request.param == "redis":
        with redis_server() as (host, port):
            yield request.param, _outcomes(program, libraries, f"redis://{host}:{port}/0")
        return
    server = DmqcacheNode("127.0.87.31", tables=["cache", "other"])
    try:
        server.start()
        server.wait_ready()
        yield request.param, _outcomes(program, libraries, f"redis://{server.host}:{server.client_port}/0")
    finally:
        server.close()


@pytest.mark.parametrize("use", USES)
def test_use(outcomes: tuple[str, Outcomes], use: str) -> None:
    who, errors = outcomes
    error = errors[use]
    if who == "redis" or use not in NEEDS:
        assert error is None, error
        return
    assert error is not None and "unknown command" in error, error


def test_each_need_is_of_a_use() -> None:
    assert set(NEEDS) <= set(USES) and len(set(USES)) == len(USES)


def test_the_readme_counts_them() -> None:
    words = " ".join((ROOT / "README.md").read_text().split())
    assert f"In Node {len(USES) - len(NEEDS)} of {len(USES)} work" in words


def test_what_is_not_here_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(NotInstalled, match=r"libraries are not in .*: run `make node`"):
        modules()
    node.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotInstalled, match="no Node from 18 on"):
        node()
    node.cache_clear()
