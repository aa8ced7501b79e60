"""Redis' files: strings and their times come in, other types are counted, what is no such file is told."""

from __future__ import annotations

import builtins
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from dmqcache.cli.client import Client, CommandFailed
from dmqcache.cli.rdb_file import RdbFile, is_rdb
from tests.cli.running import Run, one_line
from tests.server.fakes import FakeNode


def string(key: bytes, value: bytes, expires_ms: int | None = None) -> bytes:
    """A string as Redis writes it, of at most 63 bytes."""
    time_of = b"" if expires_ms is None else b"\xfc" + expires_ms.to_bytes(8, "little")
    return time_of + b"\0" + bytes([len(key)]) + key + bytes([len(value)]) + value


LIST = b"\x01" + b"\x04list" + b"\x01" + b"\x01x"


def written(file: Path, *parts: bytes) -> Path:
    """A file of form 9, whose checksum is not looked at."""
    file.write_bytes(b"REDIS0009" + b"".join(parts) + b"\xff" + bytes(8))
    return file


def test_strings_of_each_database_with_their_times(tmp_path: Path) -> None:
    parts = b"\xfe\0", string(b"a", b"1"), LIST, b"\xfe\x03", string(b"\xff", b"\xfe", 1_767_323_045_123)
    file = written(tmp_path / "dump.rdb", *parts)
    rdb = RdbFile(file)
    assert is_rdb(file)
    assert list(rdb.rows()) == [
        {"table": "0", "key": "a", "value": "1"},
        {"table": "3", "key": "\udcff", "value": "\udcfe", "expires_at": 1_767_323_045.123},
    ]
    assert rdb.others == 1


def test_one_database_goes_into_a_table(on_node: Run, node: FakeNode, tmp_path: Path) -> None:
    later = int(time.time() * 1000) + 100_000
    strings = [string(b"k%d" % number, b"v") for number in range(1_200)]
    file = written(
        tmp_path / "dump.rdb",
        b"\xfe\0",
        *strings,
        string(b"timed", b"x", later),
        string(b"over", b"x", 1_000),
    )
    ran = on_node("load", str(file), "--table", "0", "--into", "cache", "--json")
    assert json.loads(ran.out) == {"loaded": 1_201, "over": 1, "kept": 0, "refused": 0, "nodes": None}
    cache = node.tables["cache"]
    assert (ran.code, len(cache), cache.get("k7")) == (0, 1_201, "v")
    assert 90 < (cache.ttl("timed") or 0) <= 100
    written(file, b"\xfe\x0f", string(b"a", b"1"))
    assert "no table '15'" in one_line(on_node("load", str(file)))


def test_other_types_are_told(on_node: Run, node: FakeNode, tmp_path: Path) -> None:
    file = written(tmp_path / "dump.rdb", b"\xfe\0", LIST, string(b"a", b"1"))
    ran = on_node("load", str(file), "--into", "cache", "--json")
    assert (ran.code, json.loads(ran.out)["refused"], node.tables["cache"].get("a")) == (1, 1, "1")
    assert "keys that hold no string, left out: 1" in ran.err


def test_what_cannot_be_read_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    newer = tmp_path / "newer.rdb"
    newer.write_bytes(b"REDIS9999")
    with pytest.raises(CommandFailed, match=r"newer\.rdb: "):
        list(RdbFile(newer).rows())
    cut = tmp_path / "cut.rdb"
    cut.write_bytes(b"REDIS0009\xfe\0" + string(b"a", b"1") + b"\0\x05b")
    with pytest.raises(CommandFailed, match=r"cut\.rdb: "):
        list(RdbFile(cut).rows())
    real = builtins.__import__

    def without(name: str, *args: Any, **options: Any) -> Any:
        if name == "rdb":
            raise ModuleNotFoundError(name)
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(CommandFailed, match="pip install rdb-py"):
        RdbFile(cut)


def test_long_values_are_written_a_few_at_a_time(
    on_node: Run, node: FakeNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All at once they took longer than a node is waited for, and more memory than it gives to clients."""
    sent: list[int] = []
    pipeline = Client.pipeline

    def counted(client: Client, commands: Sequence[Sequence[str | int]]) -> Any:
        sent.append(sum(len(str(word)) for command in commands for word in command))
        return pipeline(client, commands)

    monkeypatch.setattr(Client, "pipeline", counted)
    length = 400_000
    head = b"\x80" + length.to_bytes(4, "big")
    strings = [b"\0\x02k%d" % number + head + b"x" * length for number in range(9)]
    file = written(tmp_path / "dump.rdb", b"\xfe\0", *strings)
    assert on_node("load", str(file), "--table", "0", "--into", "cache").code == 0
    assert len(node.tables["cache"]) == 9
    assert max(sent) < 1_100_000


def test_keys_of_which_the_package_says_nothing_are_counted(tmp_path: Path) -> None:
    """Streams, that is, of which a file says only that they are there."""
    counted = b"\xfe\0" + b"\xfb\x05\x00", LIST, string(b"a", b"1"), b"\xfe\x01" + b"\xfb\x01\x00"
    rdb = RdbFile(written(tmp_path / "dump.rdb", *counted, string(b"b", b"2")))
    assert len(list(rdb.rows())) == 2
    assert rdb.others == 4
