"""A backup and its restore: all cells, into another node, cut off anywhere and gone on with."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dmqcache.cli import backup
from dmqcache.cli.client import Client, CommandFailed
from tests.cli.running import Run, one_line
from tests.server.fakes import FakeNode
from tests.server.serving import serving

ODD = b"\xff\x00\n".decode("utf-8", "surrogateescape")


def filled(node: FakeNode, number: int = 3_000) -> FakeNode:
    cache, users = node.tables["cache"], node.tables["users"]
    for one in range(number):
        cache.set(f"k{one:05}", f"v{one}")
    cache.set(ODD, ODD)
    cache.set("int", -5)
    cache.incr("count", 7)
    cache.set("timed", "x", ttl=500)
    users.set("default time", "x")
    users.set("for ever", "x", ttl=0)
    return node


def contents(node: FakeNode) -> dict[str, dict[str, Any]]:
    return {name: dict(table.items()) for name, table in node.tables.items()}


@pytest.fixture
def other(run: Run) -> Iterator[tuple[FakeNode, str]]:
    """A second node, and its address."""
    node = FakeNode()
    with serving(node) as server:
        yield node, "{}:{}".format(*server.address)


def test_a_backup_fills_another_node(
    on_node: Run, node: FakeNode, other: tuple[FakeNode, str], tmp_path: Path
) -> None:
    filled(node)
    file = tmp_path / "all.jsonl"
    assert json.loads(on_node("dump", "--output", str(file), "--json").out)["cells"] == 3_006
    head = json.loads(file.read_text().splitlines()[0])
    assert (head["dmqcache"], head["form"], head["tables"]) == ("backup", 1, list(node.tables))
    assert file.stat().st_mode & 0o777 == 0o600
    there, address = other
    ran = on_node("load", str(file), "--node", address, "--json")
    assert json.loads(ran.out) == {"loaded": 3_006, "over": 0, "kept": 0, "refused": 0, "nodes": None}
    assert (ran.code, ran.err) == (0, "")
    assert contents(there) == contents(node)
    cache, users = there.tables["cache"], there.tables["users"]
    assert 490 < (cache.ttl("timed") or 0) <= 500
    assert cache.ttl("int") is None
    assert 50 < (users.ttl("default time") or 0) <= 60
    assert users.ttl("for ever") is None
    assert cache.incr("count") == 8
    assert [one.name for one in tmp_path.iterdir()] == ["all.jsonl"]


def test_after_a_flush_the_state_of_a_backup_is_back_and_nothing_else(
    on_node: Run, node: FakeNode, tmp_path: Path
) -> None:
    """As docs/operations.md says it: whatever was written, deleted or counted since."""
    before = contents(filled(node, 50))
    file = tmp_path / "all.jsonl"
    assert on_node("dump", "--output", str(file)).code == 0
    cache = node.tables["cache"]
    cache.set("k00001", "other")
    cache.set("since", "x")
    cache.delete("k00002")
    cache.incr("count", 5)
    for table in node.tables.values():
        table.flush()
    assert on_node("load", str(file)).code == 0
    assert contents(node) == before
    cache.delete("k00003")
    assert on_node("load", str(file), "--missing").code == 0
    assert contents(node) == before


def test_one_table_and_a_prefix_and_another_name(
    on_node: Run, node: FakeNode, other: tuple[FakeNode, str], tmp_path: Path
) -> None:
    filled(node, 20)
    file, (there, address) = tmp_path / "some.jsonl", other
    on_node("dump", "cache", "k0000", "--output", str(file))
    there.tables["users"].set("k00003", "kept")
    ran = on_node("load", str(file), "--node", address, "--into", "users", "--missing", "--json")
    assert json.loads(ran.out)["kept"] == 1
    assert len(there.tables["users"]) == 10
    assert there.tables["users"].get("k00003") == "kept"
    assert json.loads(on_node("load", str(file), "--node", address, "--table", "users", "--json").out) == {
        "loaded": 0,
        "over": 0,
        "kept": 0,
        "refused": 0,
        "nodes": None,
    }


def test_what_is_over_meanwhile_is_left_out(on_node: Run, node: FakeNode, tmp_path: Path) -> None:
    filled(node, 2)
    file = tmp_path / "all.jsonl"
    on_node("dump", "cache", "--output", str(file))
    later = 1_000 + max(json.loads(line).get("expires_at", 0) for line in file.read_text().splitlines())
    with Client(os.environ["DMQCACHE_NODE"]) as client:
        restore = backup.Restore(client, file, now=lambda: later)
        restore.run()
    assert restore.report() == {"loaded": 5, "over": 1, "kept": 0, "refused": 0}


class CutOff(Exception):
    """The power went."""


def _fail_after(calls: int, function: Callable[..., Any]) -> Callable[..., Any]:
    left = [calls]

    def called(*args: Any, **options: Any) -> Any:
        if not left[0]:
            raise CutOff
        left[0] -= 1
        return function(*args, **options)

    return called


@pytest.mark.parametrize("calls", [3, 5, 7])
def test_a_dump_that_was_cut_off_goes_on(
    on_node: Run, node: FakeNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    filled(node)
    file = tmp_path / "all.jsonl"
    with Client(os.environ["DMQCACHE_NODE"]) as client:
        with monkeypatch.context() as patch, pytest.raises(CutOff):
            patch.setattr(client, "call", _fail_after(calls, client.call))
            backup.write_backup(client, file, None)
        assert not file.exists()
        part = tmp_path / "all.jsonl.part"
        with part.open("ab") as held:
            held.write(b'{"table": "cache", "key": "k0')
        assert backup.write_backup(client, file, None) == 3_006
    rows = [json.loads(line) for line in file.read_text().splitlines()[1:]]
    assert len({(row["table"], row["key"]) for row in rows}) == len(rows) == 3_006
    assert [one.name for one in tmp_path.iterdir()] == ["all.jsonl"]


def _cut_off(client: Client, file: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
    with monkeypatch.context() as patch, pytest.raises(CutOff):
        patch.setattr(client, "pipeline", _fail_after(3, client.pipeline))
        backup.Restore(client, file, **options).run()


def test_a_load_that_was_cut_off_goes_on(
    on_node: Run, node: FakeNode, other: tuple[FakeNode, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(node)
    file, (there, address) = tmp_path / "all.jsonl", other
    on_node("dump", "--output", str(file))
    with Client(address) as client:
        _cut_off(client, file, monkeypatch)
        sets = there.tables["cache"].counters.sets
        assert 0 < sets < 3_000
        again = backup.Restore(client, file)
        again.run()
    assert again.report()["loaded"] == 3_006
    assert there.tables["cache"].counters.sets + there.tables["users"].counters.sets == 3_006
    assert contents(there) == contents(node)
    assert [one.name for one in tmp_path.iterdir()] == ["all.jsonl"]


def test_cells_that_a_node_refuses_are_named_and_the_others_loaded(
    on_node: Run, node: FakeNode, tmp_path: Path
) -> None:
    file = tmp_path / "odd.jsonl"
    rows = [
        {"table": "cache", "key": "k" * 5_000, "value": "x"},
        {"table": "cache", "key": "a", "value": 1 << 70},
    ]
    rows += [{"table": "cache", "key": "good", "value": "x"}]
    file.write_text("".join(json.dumps(row) + "\n" for row in [backup.FORM, *rows]))
    ran = on_node("load", str(file), "--json")
    assert ran.code == 1
    assert json.loads(ran.out)["refused"] == 2
    assert ran.err.count("\n") == 2
    assert "a key has at most 4096 characters" in ran.err
    assert node.tables["cache"].get("good") == "x"


def _with(rest: str) -> str:
    """A backup of one line that goes on like this after its key's name."""
    return '{"dmqcache": "backup", "form": 1}\n{"table": "cache", "key": ' + rest + "}\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "line 1: this is no backup"),
        ("hello\n", "line 1: this is no backup"),
        ('{"dmqcache": "backup", "form": 9}\n', "is of form 9"),
        ('{"dmqcache": "backup", "form": 1}\n{"table": "cache"}\n', "line 2: this is no backup"),
        (
            '{"dmqcache": "backup", "form": 1}\n{"table": "cache", "key": "a", "value": 1}\n{"tab',
            "line 3: this is no backup of 'dmqcache dump --output'; the 1 cells before it were read",
        ),
        ('{"dmqcache": "backup", "form": 1}\n{"table": "nope", "key": "a", "value": 1}\n', "no table 'nope'"),
        (_with('"k", "value": "x", "expires_at": NaN'), "line 2: this is no backup"),
        (_with('"k", "value": "x", "expires_at": 1e999'), "line 2: this is no backup"),
        (_with('"k", "value": "x", "expires_at": true'), "line 2: this is no backup"),
        (_with('"k", "value": "\\ud83d"'), "line 2: this is no backup"),
        (_with('"\\ud83d", "value": "x"'), "line 2: this is no backup"),
        (_with('"k", "value": ' + "[" * 50_000), "line 2: this is no backup"),
    ],
)
def test_a_file_that_is_no_backup_is_one_line(on_node: Run, tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "some.jsonl"
    file.write_text(text)
    assert says in one_line(on_node("load", str(file)))


def test_files_that_cannot_be_used_and_dumps_that_do_not_fit_are_one_line(
    on_node: Run, node: FakeNode, tmp_path: Path
) -> None:
    assert "No such file" in one_line(on_node("load", str(tmp_path / "nope")))
    assert "No such file" in one_line(on_node("dump", "--output", str(tmp_path / "no" / "folder")))
    assert "name a table" in one_line(on_node("dump"))
    assert "no table 'nope', the tables are cache" in one_line(
        on_node("dump", "nope", "--output", str(tmp_path / "all.jsonl"))
    )
    for no_file in str(tmp_path), "-", ".", "/", "":
        assert "is no file to write to" in one_line(on_node("dump", "--output", no_file))
    for folder in str(tmp_path), ".", "/", "":
        assert "is a folder, and no backup" in one_line(on_node("load", folder))
    packed = tmp_path / "all.jsonl.gz"
    packed.write_bytes(gzip.compress(b"{}"))
    assert "is compressed: gunzip it first" in one_line(on_node("load", str(packed)))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert "is no plain file" in one_line(on_node("load", str(pipe)))
    assert "is no plain file" in one_line(on_node("dump", "--output", str(pipe)))
    assert pipe.is_fifo()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["all.jsonl.gz", "pipe"]


def test_a_load_waits_for_other_nodes(on_node: Run, node: FakeNode, tmp_path: Path) -> None:
    filled(node, 1)
    file = tmp_path / "all.jsonl"
    on_node("dump", "--output", str(file))
    assert on_node("load", str(file), "--wait", "1").code == 0
    ran = on_node("load", str(file), "--wait", "2", "--timeout", "0.1")
    assert (ran.code, ran.err) == (1, "dmqcache: loaded, but only 1 of 2 nodes have it after 0.1 s\n")


def test_a_broken_form_is_told_by_its_reader() -> None:
    with pytest.raises(CommandFailed, match="line 7"):
        backup._read(Path("x"), 7, b"{")


def test_a_table_by_its_number_stands_in_a_backup_by_its_name(
    on_node: Run, node: FakeNode, tmp_path: Path
) -> None:
    filled(node, 1)
    file = tmp_path / "some.jsonl"
    assert on_node("dump", "1", "--output", str(file)).code == 0
    assert {json.loads(line)["table"] for line in file.read_text().splitlines()[1:]} == {"users"}


def test_a_load_goes_on_with_the_same_file_and_options_only(
    on_node: Run, node: FakeNode, other: tuple[FakeNode, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup of the next day may be as long to the byte; what options left out was not loaded."""
    filled(node)
    file, (there, address) = tmp_path / "all.jsonl", other
    on_node("dump", "--output", str(file))
    with Client(address) as client:
        _cut_off(client, file, monkeypatch, into="users")
        assert backup.Restore(client, file).report()["loaded"] == 0
        whole = backup.Restore(client, file)
        whole.run()
        assert (whole.resumed, whole.report()["loaded"]) == (0, 3_006)
        _cut_off(client, file, monkeypatch)
        file.write_bytes(file.read_bytes().replace(b'"v1"', b'"w1"'))
        os.utime(file, ns=(1, 1))
        again = backup.Restore(client, file)
        again.run()
    assert (again.resumed, again.report()["loaded"]) == (0, 3_006)
    assert there.tables["cache"].get("k00001") == "w1"


def test_what_was_refused_before_a_load_was_cut_off_is_told_at_its_end(
    on_node: Run, node: FakeNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(node)
    file = tmp_path / "all.jsonl"
    on_node("dump", "--output", str(file))
    head, *rows = file.read_text().splitlines()
    bad = json.dumps({"table": "cache", "key": "k" * 5_000, "value": "x"})
    file.write_text("\n".join([head, bad, *rows]) + "\n")
    with Client(os.environ["DMQCACHE_NODE"]) as client:
        _cut_off(client, file, monkeypatch)
    ran = on_node("load", str(file), "--json")
    assert (ran.code, json.loads(ran.out)["refused"], json.loads(ran.out)["loaded"]) == (1, 1, 3_006)
    assert "goes on at line 1502; to begin anew, remove " in ran.err
    assert "a key has at most 4096 characters" in ran.err


def test_what_stands_before_a_broken_line_is_loaded(on_node: Run, node: FakeNode, tmp_path: Path) -> None:
    filled(node, 30)
    file = tmp_path / "all.jsonl"
    on_node("dump", "--output", str(file))
    file.write_bytes(file.read_bytes().rpartition(b'"value"')[0])
    for table in node.tables.values():
        table.flush()
    said = one_line(on_node("load", str(file)))
    count = sum(map(len, node.tables.values()))
    assert count > 30 and f"the {count} cells before it were read" in said


def test_a_table_of_which_there_is_nothing_is_said(on_node: Run, node: FakeNode, tmp_path: Path) -> None:
    filled(node, 1)
    file = tmp_path / "all.jsonl"
    on_node("dump", "--output", str(file))
    ran = on_node("load", str(file), "--table", "user")
    assert (ran.code, ran.err) == (
        1,
        f"dmqcache: {file} has no cell of table 'user', only of: cache, users\n",
    )


def test_a_load_that_is_killed_while_it_notes_how_far_it_is_goes_on(
    on_node: Run, node: FakeNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(node)
    file = tmp_path / "all.jsonl"
    on_node("dump", "--output", str(file))
    write_text, left = Path.write_text, [3]

    def cut_off(path: Path, text: str) -> int:
        left[0] -= 1
        write_text(path, text if left[0] else "")
        if not left[0]:
            raise CutOff
        return len(text)

    with Client(os.environ["DMQCACHE_NODE"]) as client:
        with monkeypatch.context() as patch, pytest.raises(CutOff):
            patch.setattr(Path, "write_text", cut_off)
            backup.Restore(client, file).run()
        again = backup.Restore(client, file)
        again.run()
    assert (again.resumed, again.report()["loaded"]) == (1_002, 3_006)
    assert [one.name for one in tmp_path.iterdir()] == ["all.jsonl"]
