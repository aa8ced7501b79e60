"""A dump that was cut off goes on with its own cells alone, and into a plain file alone."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from dmqcache.cli import backup
from dmqcache.cli.client import Client, CommandFailed
from dmqcache.cli.growing_dump import GrowingDump
from tests.cli.running import Run, one_line
from tests.server.fakes import FakeNode

BEGUN = 1_700_000_000.0


def _told(file: Path, now: float, tables: list[str] | None = None, prefix: str = "") -> list[str]:
    """What the operator hears of a dump."""
    told: list[str] = []
    with Client(os.environ["DMQCACHE_NODE"]) as client:
        backup.write_backup(client, file, tables, prefix, tell=told.append, now=lambda: now)
    return told


def _cut_off(file: Path, now: float = BEGUN, lines: int = 3, **head: Any) -> Path:
    """The part of a dump of which only so many lines came; ``head``: what its first line says otherwise."""
    assert _told(file, now) == []
    first, *rows = file.read_text().splitlines()
    part = file.with_name(file.name + ".part")
    part.write_text("\n".join([json.dumps(json.loads(first) | head), *rows[: lines - 1]]) + "\n")
    file.unlink()
    return part


def _keys(file: Path) -> dict[str, Any]:
    rows = [json.loads(line) for line in file.read_text().splitlines()[1:]]
    assert len({row["key"] for row in rows}) == len(rows)
    return {row["key"]: row["value"] for row in rows}


@pytest.fixture
def file(on_node: Run, node: FakeNode, tmp_path: Path) -> Path:
    for key in "abcd":
        node.tables["cache"].set(key, "old")
    return tmp_path / "all.jsonl"


def test_it_goes_on_within_the_hour_and_says_so(file: Path, node: FakeNode) -> None:
    part = _cut_off(file)
    node.tables["cache"].set("a", "new")
    node.tables["cache"].set("d", "new")
    assert _told(file, BEGUN + 3_600) == [
        "goes on after key 'b' of table cache (2 cells from 2023-11-14T22:13:20Z); "
        f"to begin anew, remove {part}"
    ]
    assert _keys(file) == {"a": "old", "b": "old", "c": "old", "d": "new"}
    assert not part.exists()


@pytest.mark.parametrize(
    ("head", "after", "says"),
    [
        ({}, 3_601, "was not begun within the last hour"),
        ({}, -1, "was not begun within the last hour"),
        ({"begun": None}, 1, "was not begun within the last hour"),
        ({"node": ["192.0.2.1:6380", "0" * 40]}, 1, "is of another node"),
        ({"tables": ["cache"]}, 1, "is of other cells"),
        ({"prefix": "a"}, 1, "is of other cells"),
        ({"form": 2}, 1, "is of other cells"),
    ],
)
def test_what_is_of_another_state_begins_anew_and_says_so(
    file: Path, node: FakeNode, head: dict[str, Any], after: float, says: str
) -> None:
    part = _cut_off(file, **head)
    part.chmod(0o644)
    node.tables["cache"].set("a", "new")
    node.tables["cache"].delete("b")
    (told,) = _told(file, BEGUN + after)
    assert told.startswith(f"{part} {says}") and told.endswith(": the dump begins anew")
    assert _keys(file) == {"a": "new", "c": "old", "d": "old"}
    assert file.stat().st_mode & 0o777 == 0o600


def test_the_line_is_on_standard_error(on_node: Run, file: Path) -> None:
    part = _cut_off(file)
    ran = on_node("dump", "--output", str(file), "--json")
    assert (ran.code, ran.err.count("\n"), json.loads(ran.out)["cells"]) == (0, 1, 4)
    assert ran.err == f"dmqcache: {part} was not begun within the last hour: the dump begins anew\n"


def test_a_node_that_was_started_anew_is_another(on_node: Run, file: Path) -> None:
    with Client(os.environ["DMQCACHE_NODE"]) as client:
        before = [str(client.address), "1" * 40]
    _cut_off(file, node=before)
    assert "before it was restarted" in _told(file, BEGUN)[0]


def test_a_user_who_may_not_know_which_run_it_is_goes_on_by_the_address(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = Client.report

    def refused(client: Client, what: str) -> Any:
        if what == "stats":
            raise CommandFailed("NOPERM")
        return report(client, what)

    monkeypatch.setattr(Client, "report", refused)
    _cut_off(file)
    assert _told(file, BEGUN)[0].startswith("goes on after key 'b'")


def test_a_last_line_that_is_no_cell_begins_anew(file: Path) -> None:
    with _cut_off(file).open("a") as held:
        held.write('{"table": "nope", "key": "x"}\n')
    assert "is damaged: the dump begins anew" in _told(file, BEGUN)[0]
    assert list(_keys(file)) == ["a", "b", "c", "d"]


@pytest.mark.parametrize("cut", [0, 1, 20])
def test_what_has_not_even_its_first_line_is_nothing(file: Path, cut: int) -> None:
    part = _cut_off(file)
    part.write_bytes(part.read_bytes()[:cut])
    assert _told(file, BEGUN) == []
    assert list(_keys(file)) == ["a", "b", "c", "d"]


@pytest.mark.parametrize("text", ["mine", "mine\n", '["mine"]\n', '{"mine": 1}\n'])
def test_what_is_no_dump_is_left_alone(on_node: Run, file: Path, text: str) -> None:
    part = file.with_name("all.jsonl.part")
    part.write_text(text)
    assert "is no dump that was cut off: take it away" in one_line(on_node("dump", "--output", str(file)))
    assert part.read_text() == text


def test_two_dumps_into_one_file_are_refused(on_node: Run, file: Path) -> None:
    with GrowingDump(file, {"node": [], "tables": []}, BEGUN):
        assert "is written by another dump" in one_line(on_node("dump", "--output", str(file)))
    assert not file.exists()


def test_a_link_is_followed_to_a_plain_file(file: Path) -> None:
    link, loop = file.with_name("latest"), file.with_name("loop")
    link.symlink_to(file.name)
    loop.symlink_to(loop.name)
    for _ in range(2):
        assert _told(link, BEGUN) == []
        assert link.is_symlink() and list(_keys(file)) == ["a", "b", "c", "d"]
    with pytest.raises(CommandFailed, match="loop: Too many levels"):
        _told(loop, BEGUN)
    assert loop.is_symlink()


@pytest.mark.parametrize("name", ["all.jsonl", "all.jsonl.part"])
def test_what_is_no_plain_file_is_refused_and_kept(on_node: Run, file: Path, name: str) -> None:
    pipe, link = file.with_name(name), file.with_name("link")
    os.mkfifo(pipe)
    link.symlink_to(name)
    assert f"{pipe} is no plain file" in one_line(on_node("dump", "--output", str(file)))
    assert "link is no plain file" in one_line(on_node("dump", "--output", str(link)))
    assert pipe.is_fifo() and link.is_symlink()


def test_a_part_that_is_a_link_is_not_followed(on_node: Run, file: Path) -> None:
    victim = file.with_name("victim")
    victim.write_text("")
    file.with_name("all.jsonl.part").symlink_to(victim)
    assert "all.jsonl.part is no plain file" in one_line(on_node("dump", "--output", str(file)))
    assert victim.read_text() == ""
