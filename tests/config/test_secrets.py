"""Secrets: read from files, told to nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

from dmqcache.config.options import ConfigError
from dmqcache.config.secrets import MAX_BYTES, Secret, read_private, warn_if_open


def written(path: Path, text: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(text)
    path.chmod(mode)
    return path


def test_the_first_line_of_a_file_is_the_secret(tmp_path: Path) -> None:
    assert Secret(written(tmp_path / "a", b"hunter2\nmore\n")).read() == "hunter2"
    assert Secret(written(tmp_path / "b", b" with spaces ")).read() == " with spaces "
    assert Secret(written(tmp_path / "c", b"\xff\r\n")).read() == "\udcff"
    assert Secret(text="hunter2").read() == "hunter2"


def test_no_text_shows_it(tmp_path: Path) -> None:
    assert "hunter2" not in repr(Secret(text="hunter2"))
    assert str(tmp_path) in repr(Secret(tmp_path))


@pytest.mark.parametrize("text", [b"", b"\n", b"  \n"])
def test_a_file_without_a_secret(tmp_path: Path, text: bytes) -> None:
    path = written(tmp_path / "a", text)
    with pytest.raises(ConfigError, match=f"{path} is empty: its first line is the secret"):
        Secret(path).read()


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^/.*none: No such file or directory"):
        Secret(tmp_path / "none").read()
    with pytest.raises(ConfigError, match="Is a directory"):
        read_private(tmp_path)
    with pytest.raises(ConfigError, match="is longer than"):
        read_private(written(tmp_path / "a", b"x" * (MAX_BYTES + 1)))


def test_what_is_wrong_with_a_file_names_the_option(tmp_path: Path) -> None:
    none = tmp_path / "none"
    with pytest.raises(ConfigError, match=f"^client_password_file {none}: No such file or directory$"):
        Secret(none, option="client_password_file").read()
    with pytest.raises(ConfigError, match=f"^client_acl_file {none}: No such file or directory$"):
        read_private(none, "client_acl_file")
    empty = written(tmp_path / "a", b"")
    with pytest.raises(ConfigError, match=f"^http_token_file {empty} is empty"):
        Secret(empty, option="http_token_file").read()


def test_of_a_file_that_is_not_there_nobody_is_warned(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    warn_if_open(tmp_path / "none")
    assert not caplog.text


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, False), (0o644, True), (0o602, True)])
def test_a_file_that_everybody_can_read_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: int, warned: bool
) -> None:
    path = written(tmp_path / "a", b"hunter2", mode)
    assert read_private(path) == "hunter2"
    assert (f"{path} can be read or written by every user" in caplog.text) is warned
    assert "hunter2" not in caplog.text
