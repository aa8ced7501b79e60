"""Who of this node's clients subscribes to what, and how a published message reaches them.

Owns the two books, channels and patterns. What a client may have waiting, and when it is cut off, its
connection decides (``connection.py``); what comes from other nodes enters by :meth:`Subscriptions.deliver`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from dmqcache.server.resp.globs import compile_glob
from dmqcache.server.resp.reply import bulk

#: What the channels of keyspace notifications begin with.
KEYS: Final = "__key"
#: What Python needs beside the name of a channel or a pattern that is subscribed to, about.
SUBSCRIPTION_BYTES: Final = 400


class Subscriber(Protocol):
    """A client that may subscribe."""

    hears_resp3: bool
    channels: dict[str, None]
    patterns: dict[str, None]
    #: Bytes of what it subscribes to, about.
    subscribed_bytes: int

    def restrict(self) -> None:
        """What it may run depends on whether it subscribes."""

    def may_hear(self, table: str, key: str) -> bool:
        """Whether the client may be told that a key (empty: all keys) of a table changed."""

    @property
    def push(self) -> Callable[[bytes], None]:
        """Writes to the client, beside the replies."""


class _Pattern(NamedTuple):
    matches: Callable[[str], bool]
    subscribers: dict[Subscriber, None]


class Subscriptions:
    """All subscriptions of one server."""

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        """``changed`` is told when somebody came or went."""
        self._changed = changed
        self._channels: dict[str, dict[Subscriber, None]] = {}
        self._patterns: dict[str, _Pattern] = {}
        self._key_channels = 0

    @property
    def channels(self) -> list[str]:
        """Channels with subscribers."""
        return list(self._channels)

    @property
    def patterns(self) -> int:
        """Different patterns that clients subscribe to."""
        return len(self._patterns)

    @property
    def may_want_keys(self) -> bool:
        """Whether somebody may subscribe to keyspace notifications."""
        return self._key_channels > 0 or bool(self._patterns)

    def count(self, channel: str) -> int:
        """Clients that subscribe to a channel by its name."""
        return len(self._channels.get(channel, ()))

    def subscribe(self, who: Subscriber, channel: str) -> None:
        """A client wants a channel."""
        if channel in who.channels:
            return
        who.channels[channel] = None
        if channel not in self._channels:
            self._channels[channel] = {}
            self._key_channels += channel.startswith(KEYS)
        self._channels[channel][who] = None
        self._came_or_went(who, len(channel) + SUBSCRIPTION_BYTES)

    def unsubscribe(self, who: Subscriber, channel: str) -> None:
        """It does not want it any more."""
        if channel not in who.channels:
            return
        del who.channels[channel], self._channels[channel][who]
        if not self._channels[channel]:
            del self._channels[channel]
            self._key_channels -= channel.startswith(KEYS)
        self._came_or_went(who, -len(channel) - SUBSCRIPTION_BYTES)

    def subscribe_pattern(self, who: Subscriber, pattern: str) -> None:
        """A client wants all channels that fit. ValueError for a pattern that is too long."""
        if pattern in who.patterns:
            return
        if pattern not in self._patterns:
            self._patterns[pattern] = _Pattern(compile_glob(pattern), {})
        who.patterns[pattern] = None
        self._patterns[pattern].subscribers[who] = None
        self._came_or_went(who, len(pattern) + SUBSCRIPTION_BYTES)

    def unsubscribe_pattern(self, who: Subscriber, pattern: str) -> None:
        """It does not want them any more."""
        if pattern not in who.patterns:
            return
        del who.patterns[pattern], self._patterns[pattern].subscribers[who]
        if not self._patterns[pattern].subscribers:
            del self._patterns[pattern]
        self._came_or_went(who, -len(pattern) - SUBSCRIPTION_BYTES)

    def leave(self, who: Subscriber) -> None:
        """A client wants nothing any more."""
        for channel in list(who.channels):
            self.unsubscribe(who, channel)
        for pattern in list(who.patterns):
            self.unsubscribe_pattern(who, pattern)

    def _came_or_went(self, who: Subscriber, size: int) -> None:
        who.subscribed_bytes += size
        who.restrict()
        self._changed()

    def deliver(self, channel: str, body: str, about: tuple[str, str] | None = None) -> int:
        """Give a message to those who subscribe to its channel; returns how often. ``about``: the table
        and key whose change it tells; those who may not hear of that do not get it."""
        count = 0
        subscribers = self._channels.get(channel)
        if subscribers:
            count += _push(subscribers, about, 3, bulk("message") + bulk(channel) + bulk(body))
        for pattern, (matches, fitting) in self._patterns.items():
            if matches(channel):
                message = bulk("pmessage") + bulk(pattern) + bulk(channel) + bulk(body)
                count += _push(fitting, about, 4, message)
        return count


def _push(
    subscribers: dict[Subscriber, None], about: tuple[str, str] | None, parts: int, message: bytes
) -> int:
    push, array = b">%d\r\n%b" % (parts, message), b"*%d\r\n%b" % (parts, message)
    count = 0
    for one in subscribers:
        if about is None or one.may_hear(*about):
            one.push(push if one.hears_resp3 else array)
            count += 1
    return count
