"""Our own commands for the channels of the bus, which Redis has not: DMQ.CHANNEL, DMQ.SEND, DMQ.BROADCAST.
What comes on such a channel is subscribed to as ``dmq:NAME``.
"""

from __future__ import annotations

from dmqcache.server.resp.command import Command
from dmqcache.server.resp.reply import OK, CommandError, encode, integer, wrong_arity
from dmqcache.server.resp.session import Answer, Session


def channel(session: Session, args: list[str]) -> bytes:
    """DMQ.CHANNEL [NAME [CONTENT-TYPE]]: declares one until the node stops, or tells which there are."""
    if len(args) > 3:
        raise wrong_arity("dmq.channel")
    channels = session.shared.node.channels
    if len(args) == 1:
        return encode(dict(channels.declared), session.resp3)
    channels.declare(*args[1:])
    return OK


async def _send(session: Session, args: list[str]) -> bytes:
    return integer(await session.shared.node.channels.ask(*args))


def send(session: Session, args: list[str]) -> Answer:
    """DMQ.SEND NAME NODE BODY [CONTENT-TYPE]: the SIP status of the node's answer."""
    _may_wait(session, args, 5)
    return _send(session, args[1:])


async def _broadcast(session: Session, args: list[str]) -> bytes:
    answers = await session.shared.node.channels.ask_all(*args)
    return encode(dict(answers), session.resp3)


def broadcast(session: Session, args: list[str]) -> Answer:
    """DMQ.BROADCAST NAME BODY [CONTENT-TYPE]: each node that is active with the status of its answer."""
    _may_wait(session, args, 4)
    return _broadcast(session, args[1:])


def _may_wait(session: Session, args: list[str], most: int) -> None:
    if len(args) > most:
        raise wrong_arity(args[0])
    if session.executing:
        raise CommandError(f"ERR {args[0].upper()} waits for answers: not within MULTI")


COMMANDS = (
    Command("DMQ.CHANNEL", channel, -1, "admin", "Declares a channel of the bus, or lists them."),
    Command("DMQ.SEND", send, -4, "", "Sends to one node; returns its SIP status."),
    Command("DMQ.BROADCAST", broadcast, -3, "", "Sends to all nodes; returns their SIP statuses."),
)
