"""Publish and subscribe. A message goes to the subscribers of all dmqcache nodes; who subscribes to what each
node knows of its own clients only, and so do the numbers that are told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from dmqcache.server.resp.command import Command, container
from dmqcache.server.resp.globs import compile_glob
from dmqcache.server.resp.reply import bulk, encode, integer, null
from dmqcache.server.resp.session import Session


def _told(session: Session, kind: str, name: str | None) -> bytes:
    """What a client is told of one channel or pattern: and to how many it subscribes now."""
    said = bulk(kind) + (null(session.resp3) if name is None else bulk(name))
    count = integer(len(session.channels) + len(session.patterns))
    return (b">3\r\n" if session.resp3 else b"*3\r\n") + said + count


def _each(session: Session, kind: str, names: Iterable[str], do: Callable[[Session, str], None]) -> bytes:
    replies = []
    for name in names:
        do(session, name)
        replies.append(_told(session, kind, name))
    return b"".join(replies) or _told(session, kind, None)


def subscribe(session: Session, args: list[str]) -> bytes:
    return _each(session, "subscribe", args[1:], session.shared.subscriptions.subscribe)


def psubscribe(session: Session, args: list[str]) -> bytes:
    for pattern in args[1:]:
        compile_glob(pattern)  # all or none
    return _each(session, "psubscribe", args[1:], session.shared.subscriptions.subscribe_pattern)


def unsubscribe(session: Session, args: list[str]) -> bytes:
    names = args[1:] or list(session.channels)
    return _each(session, "unsubscribe", names, session.shared.subscriptions.unsubscribe)


def punsubscribe(session: Session, args: list[str]) -> bytes:
    names = args[1:] or list(session.patterns)
    return _each(session, "punsubscribe", names, session.shared.subscriptions.unsubscribe_pattern)


def publish(session: Session, args: list[str]) -> bytes:
    """How many clients of this node got it."""
    return integer(session.shared.node.channels.publish(args[1], args[2]))


def _channels(session: Session, args: list[str]) -> bytes:
    found = session.shared.subscriptions.channels
    if len(args) > 2:
        matches = compile_glob(args[2])
        found = [one for one in found if matches(one)]
    return encode(found, session.resp3)


def _channel_counts(session: Session, args: list[str]) -> bytes:
    count = session.shared.subscriptions.count
    return encode([part for name in args[2:] for part in (name, count(name))], session.resp3)


def _pattern_count(session: Session, args: list[str]) -> bytes:
    return integer(session.shared.subscriptions.patterns)


COMMANDS = (
    Command("SUBSCRIBE", subscribe, -2, "", "Gets what is published to channels."),
    Command("PSUBSCRIBE", psubscribe, -2, "", "Gets what is published to channels that match."),
    Command("UNSUBSCRIBE", unsubscribe, -1, "", "Gets it no more: some channels, or all."),
    Command("PUNSUBSCRIBE", punsubscribe, -1, "", "Gets it no more: some patterns, or all."),
    Command("PUBLISH", publish, 3, "fast", "Sends a message to the subscribers of all nodes."),
    container(
        "PUBSUB",
        "Tells of the subscriptions of this node's clients.",
        (
            Command("PUBSUB|CHANNELS", _channels, -2, "", "Lists channels with subscribers."),
            Command("PUBSUB|NUMSUB", _channel_counts, -2, "", "Tells how many subscribe to channels."),
            Command("PUBSUB|NUMPAT", _pattern_count, 2, "", "Tells how many patterns there are."),
        ),
    ),
)
