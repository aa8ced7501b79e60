"""Peers by name, as ``--peer`` has them: ``dialog`` and others that are a part of dmqcache, ``module:Class``,
or the name of an installed package's entry point. ``usrloc=CHANNEL``: it is on another channel there.

Whatever goes wrong in somebody's module is a ConfigError that names the peer: one line, before the node has
opened anything.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Mapping, Sequence
from typing import Any, Final

from dmqcache.bus.bus import Bus
from dmqcache.bus.peer import Peer
from dmqcache.channels.naming import checked_name
from dmqcache.config.options import ConfigError

#: The group of entry points under which packages offer peers to ``--peer NAME``.
PEER_GROUP = "dmqcache.peers"
#: Those that are a part of dmqcache.
BUILT_IN: Final[Mapping[str, str]] = {
    "dialog": "dmqcache.peers.dialog_peer:DialogPeer",
    "presence": "dmqcache.peers.presence_peer:PresencePeer",
    "usrloc": "dmqcache.peers.usrloc_peer:UsrlocPeer",
}
#: The one whose channel Kamailio nodes may call otherwise: ``dmq_peer_id`` of module dmq_usrloc, from 6.2 on.
RENAMED: Final = "usrloc"


def load_peers(names: Sequence[str]) -> list[tuple[str, Peer]]:
    """Each peer beside the name that it was asked for by. ConfigError."""
    peers: list[tuple[str, Peer]] = []
    for asked in names:
        name, renamed, channel = asked.partition("=")
        peer = _loaded(name, _checked(name, channel) if renamed else None)
        if any(one == name for one, _ in peers):
            raise ConfigError(f"peer {name!r} is there twice")
        other = next((one for one, known in peers if known.channel == peer.channel), None)
        if other is not None:
            raise ConfigError(f"peers {other!r} and {name!r} have the same channel, {peer.channel!r}")
        peers.append((name, peer))
    return peers


def register_peers(bus: Bus, peers: Sequence[tuple[str, Peer]]) -> None:
    """Put them on the bus. ConfigError where a channel is the node's own."""
    for name, peer in peers:
        try:
            bus.register_peer(peer)
        except ValueError as error:
            raise ConfigError(f"peer {name!r}: {error}") from error


def _checked(name: str, channel: str) -> str:
    """The channel that a peer of ours is to be on."""
    if name != RENAMED:
        raise ConfigError(f"peer {name!r}: only the channel of {RENAMED} can be named, as {RENAMED}=CHANNEL")
    try:
        return checked_name(channel)
    except ValueError as error:
        raise ConfigError(f"peer {name!r}: {channel!r} {error}") from None


def _loaded(name: str, channel: str | None) -> Peer:
    try:
        found = _found(name)
        peer = found(*filter(None, [channel])) if isinstance(found, type) else found
    except (ConfigError, KeyboardInterrupt):
        raise
    except BaseException as error:  # a script that ends itself (SystemExit) is no module, and no end of ours
        hint = " (its folder must be in PYTHONPATH)" if isinstance(error, ModuleNotFoundError) else ""
        raise ConfigError(f"peer {name!r} cannot be loaded: {_reason(error)}{hint}") from error
    if not isinstance(peer, Peer):
        raise ConfigError(f"peer {name!r} is no dmqcache.Peer")
    if not isinstance(getattr(peer, "channel", None), str):
        raise ConfigError(f"peer {name!r} has no channel: its __init__ calls super().__init__(channel=...)")
    return peer


def _found(name: str) -> Any:
    name = BUILT_IN.get(name, name)
    for entry in importlib.metadata.entry_points(group=PEER_GROUP, name=name):
        return entry.load()
    module, colon, attribute = name.partition(":")
    if not (colon and module and attribute) or "/" in module or module.startswith("."):
        raise ConfigError(
            f"peer {name!r}: write module:Class, {' or '.join(BUILT_IN)}, or install a package that offers it"
        )
    return getattr(importlib.import_module(module), attribute)


def _reason(error: BaseException) -> str:
    """One line. Python's texts about imports are clear; others get the exception's name beside them."""
    text = " ".join(str(error).split())
    if isinstance(error, ImportError | AttributeError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
