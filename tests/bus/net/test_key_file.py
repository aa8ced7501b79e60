"""The key file on disk: read, watched, warned of, and never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from dmqcache.bus.net.key_file import KeyFile, KeyFileUnusable
from dmqcache.bus.trust.keys import KEY_BYTES, Key, write_key

ONE, TWO = bytes(range(KEY_BYTES)), bytes(reversed(range(KEY_BYTES)))


def written(path: Path, text: str, mode: int = 0o600) -> KeyFile:
    path.write_text(text)
    path.chmod(mode)
    return KeyFile(path)


def test_it_is_read_again_when_it_is_another_one(tmp_path: Path) -> None:
    path = tmp_path / "bus.key"
    file = written(path, write_key(ONE))
    assert file.changed() and file.read().signing == Key(ONE) and not file.changed()
    (tmp_path / "new").write_text(f"{write_key(TWO)}\n{write_key(ONE)}\n")
    (tmp_path / "new").replace(path)
    assert file.changed() and file.read().keys == (Key(TWO), Key(ONE)) and not file.changed()
    path.unlink()
    assert file.changed()


@pytest.mark.parametrize(
    ("content", "says"), [(b"hunter2", "line 1 is no key"), (b"\xff\xfe", "not text"), (None, "No such file")]
)
def test_what_gives_no_key_is_named_and_not_shown(tmp_path: Path, content: bytes | None, says: str) -> None:
    path = tmp_path / "bus.key"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(KeyFileUnusable, match=says) as caught:
        KeyFile(path).read()
    assert str(caught.value).startswith(f"bus_key_file {path}: ") and "hunter2" not in str(caught.value)


def test_one_that_everybody_can_read_is_warned_of_until_it_is_mended(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = written(tmp_path / "bus.key", write_key(ONE), 0o644)
    file.read()
    file.read()
    assert caplog.text.count("can be read by everybody") == 1
    file.path.chmod(0o640)
    file.read()
    assert caplog.text.count("can be read by everybody") == 1
    assert write_key(ONE)[20:40] not in caplog.text
