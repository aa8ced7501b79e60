"""``dmqcache key``: makes a key that only its owner can read, and names keys without showing them."""

from __future__ import annotations

import stat
from pathlib import Path

from dmqcache.bus.trust.keys import KEY_BYTES, Key, read_keys, write_key
from tests.cli.running import Run, one_line


def test_a_new_key_is_written_for_its_owner_alone_and_overwrites_nothing(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "bus.key"
    ran = run("key", "new", str(path))
    ring = read_keys(path.read_text())
    assert ran.code == 0 and not ran.out and ring.signing.name in ran.err
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().strip() not in ran.err
    assert "not overwritten" in one_line(run("key", "new", str(path)))
    assert read_keys(path.read_text()) == ring
    assert run("key", "names", str(path)).out == f"{ring.signing.name}\n"


def test_a_new_key_is_printed_where_no_file_is_named(run: Run) -> None:
    one, two = run("key", "new"), run("key", "new")
    assert one.code == 0 and read_keys(one.out) != read_keys(two.out)


def test_keys_are_named_the_signing_one_first(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "bus.key"
    path.touch(0o600)
    keys = [Key(letter * KEY_BYTES) for letter in (b"n", b"o")]
    path.write_text("\n".join(write_key(key.secret) for key in keys))
    assert run("key", "names", str(path)).out.split() == [key.name for key in keys]


def test_what_is_wrong_is_one_line(run: Run, tmp_path: Path) -> None:
    assert "which file?" in one_line(run("key", "names"))
    assert "No such file" in one_line(run("key", "names", str(tmp_path / "none")))
    assert "No such file" in one_line(run("key", "new", str(tmp_path / "none" / "bus.key")))
    assert "'old'" in one_line(run("key", "old"))
