"""One version, wherever it is told."""

from __future__ import annotations

import tomllib
from pathlib import Path

import dmqcache
from dmqcache.release import SOFTWARE, VERSION

ROOT = Path(__file__).parent.parent


def test_the_version_is_the_packages() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["version"] == VERSION == dmqcache.__version__


def test_what_a_node_says_of_itself_is_one_word_of_sip_and_a_comment() -> None:
    assert f"dmqcache ({VERSION})" == SOFTWARE
    assert SOFTWARE.isascii() and SOFTWARE.isprintable()
