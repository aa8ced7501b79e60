"""Peers that cannot be had: each is one line that names the peer."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from dmqcache import CacheNode, ConfigError
from dmqcache.config.peer_loading import load_peers
from dmqcache.peers.dialog_peer import DialogPeer
from dmqcache.peers.presence_peer import PresencePeer
from dmqcache.peers.usrloc_peer import UsrlocPeer
from tests.test_cache_node_start import free

GOOD = """
from dmqcache import Peer

class Good(Peer):
    def __init__(self):
        super().__init__(channel="good")

class Silent(Peer):
    def __init__(self):
        pass

class Wanting(Peer):
    def __init__(self, x):
        super().__init__(channel="x")

class Failing(Peer):
    def __init__(self):
        raise KeyError("two\\nlines")

class Table(Peer):
    def __init__(self):
        super().__init__(channel="htable")

class Empty(Peer):
    def __init__(self):
        super().__init__(channel="")

class Stranger:
    channel = "stranger"

made = Good()
"""
MODULES = {
    "loading_good": GOOD,
    "loading_syntax": "def x(:\n",
    "loading_exit": "import sys; sys.exit(3)\n",
    "loading_boom": "raise RuntimeError('boom')\n",
    "loading_import": "import nothing_of_that_name\n",
}


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in MODULES.items():
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("loading_syntax:X", "SyntaxError: "),
        ("loading_exit:X", "SystemExit: 3"),
        ("loading_boom:X", "RuntimeError: boom"),
        ("loading_import:X", "No module named 'nothing_of_that_name'"),
        ("loading_nowhere:X", "its folder must be in PYTHONPATH"),
        ("loading_good:Missing", "has no attribute 'Missing'"),
        ("loading_good:Silent", "calls super().__init__"),
        ("loading_good:Wanting", "TypeError: "),
        ("loading_good:Failing", "KeyError: 'two"),
        ("loading_good:Stranger", "is no dmqcache.Peer"),
        ("loading_good", "write module:Class"),
        ("loading_good:", "write module:Class"),
        (":Good", "write module:Class"),
        (".loading_good:Good", "write module:Class"),
        ("folder/loading_good.py:Good", "write module:Class"),
    ],
)
def test_what_cannot_be_loaded_is_one_line_that_names_the_peer(name: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_peers([name])
    assert repr(name) in str(caught.value)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_class_and_an_instance() -> None:
    for name in ("loading_good:Good", "loading_good:made"):
        ((shown, peer),) = load_peers([name])
        assert (shown, peer.channel) == (name, "good")


def test_a_channel_is_one_peers() -> None:
    with pytest.raises(ConfigError, match="have the same channel, 'good'"):
        load_peers(["loading_good:Good", "loading_good:made"])


@pytest.mark.parametrize("name", ["loading_good:Table", "loading_good:Empty"])
def test_the_nodes_own_channels_are_taken(name: str) -> None:
    node = CacheNode(server_address=free("127.0.0.96"), peer=name)
    with pytest.raises(ConfigError, match=f"peer '{name}': channel '.*' is taken or empty"):
        asyncio.run(node.start())


def test_those_that_are_a_part_of_dmqcache_are_there_by_their_names() -> None:
    names = ["dialog", "presence", "usrloc"]
    loaded = load_peers(names)
    assert [(name, peer.channel) for name, peer in loaded] == [(name, name) for name in names]
    assert [type(peer) for _, peer in loaded] == [DialogPeer, PresencePeer, UsrlocPeer]
    with pytest.raises(ConfigError, match="write module:Class, dialog or presence or usrloc, or install"):
        load_peers(["dialogue"])


def test_the_registrars_channel_may_have_another_name() -> None:
    ((name, peer),) = load_peers(["usrloc=registrations"])
    assert (name, type(peer), peer.channel) == ("usrloc", UsrlocPeer, "registrations")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["usrloc="], "peer 'usrloc': '' is no channel"),
        (["usrloc=a b"], "peer 'usrloc': 'a b' is no channel"),
        (["dialog=calls"], "peer 'dialog': only the channel of usrloc can be named, as usrloc=CHANNEL"),
        (["usrloc", "usrloc=other"], "peer 'usrloc' is there twice"),
    ],
)
def test_channels_that_cannot_be_had_are_one_line(names: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_peers(names)
    assert str(caught.value).startswith(said)
