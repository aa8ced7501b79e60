"""The commands that listen and speak: watch, subscribe, send, broadcast."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from dmqcache.cli import render
from dmqcache.cli.arguments import HERE, MINUS, NO, Entry, JsonFlag, NodeFlag, TableName, complain, connect
from dmqcache.cli.client import Client, CommandFailed

#: Seconds until the nodes have answered a message, or have not (SIP's 32 s and some more).
ANSWER_S = 40.0

ChannelName = Annotated[
    str, typer.Argument(metavar="CHANNEL", help="A channel of the bus that the node was given by --channel.")
]
Body = Annotated[str, typer.Argument(metavar="BODY", help="'-' reads it from standard input.")]
TypeFlag = Annotated[
    str, typer.Option("--type", metavar="TYPE", help="Its content type, in place of the channel's own.")
]
CountFlag = Annotated[int | None, typer.Option(metavar="N", min=1, help="End after N of them.")]


def watch(
    table: TableName,
    prefix: Annotated[str, typer.Argument(metavar="PREFIX", help="Only keys that start with it.")] = "",
    count: CountFlag = None,
    node: NodeFlag = HERE,
    json: JsonFlag = False,
) -> None:
    """Print each change of a table from now on, whoever made it.

    A line for each: key and value; of a key that is gone or has expired, the key alone. For a pipe between
    tabs; with --json an object whose value is null. Of a key that changes often the latest value is told.
    """
    mode = render.choose(json)
    with connect(node, table) as client:
        client.listen("DMQ.WATCH", prefix)
        for _ in range(count) if count else iter(int, 1):
            _, key, value = client.heard("change")
            if mode == "json":
                render.as_json({"key": key, "value": value})
            elif mode == "plain":
                render.one_line((key,) if value is None else (key, value), mode)
            elif value is None:
                render.line(f"{render.visible(key)} is gone")
            else:
                render.cell(key, value, None)
            sys.stdout.flush()


def subscribe(
    channel: ChannelName,
    count: CountFlag = None,
    node: NodeFlag = HERE,
    json: JsonFlag = False,
) -> None:
    """Print each message on a channel of the bus from now on.

    For a pipe: node, content type and body between tabs (a body that is no UTF-8: in base64, with a fourth
    column that says so); with --json an object a line.
    """
    import json as reader

    mode = render.choose(json)
    with connect(node) as client:
        _must_be_declared(client, channel)
        client.listen("SUBSCRIBE", f"dmq:{channel}")
        for _ in range(count) if count else iter(int, 1):
            told = reader.loads(client.heard("message")[2])
            if mode == "json":
                render.as_json(told)
            elif "body" in told:
                render.one_line((told["node"], told["content_type"], told["body"]), mode)
            else:
                render.one_line((told["node"], told["content_type"], told["body_base64"], "base64"), mode)
            sys.stdout.flush()


def send(
    channel: ChannelName,
    receiver: Annotated[str, typer.Argument(metavar="NODE", help="Its address on the bus, sip:HOST:PORT.")],
    body: Body,
    content_type: TypeFlag = "",
    node: NodeFlag = HERE,
    json: JsonFlag = False,
) -> None:
    """Send a message to one node and print the SIP status.

    That of its answer. As Kamailio's dmq_send_message(). 200: taken; 202: nobody listens there; 404: it has
    no such channel; 408: no answer. Exit 1 unless it was taken.
    """
    words = [channel, receiver, _text(body), *filter(None, [content_type])]
    with connect(node) as client:
        code = int(client.call("DMQ.SEND", *words, timeout=ANSWER_S))
    if json:
        render.as_json({"node": receiver, "status": code})
    else:
        render.line(str(code))
    raise typer.Exit(0 if code == 200 else NO)


def broadcast(
    channel: ChannelName,
    body: Body,
    content_type: TypeFlag = "",
    node: NodeFlag = HERE,
    json: JsonFlag = False,
) -> None:
    """Send a message to every other node of the bus.

    Prints the SIP status of each answer. As Kamailio's dmq_bcast_message(). Exit 1 unless a node took it:
    also where there is no other node.
    """
    words = [channel, _text(body), *filter(None, [content_type])]
    with connect(node) as client:
        flat = client.call("DMQ.BROADCAST", *words, timeout=ANSWER_S)
    rows: list[dict[str, Any]] = [
        {"node": one, "status": code} for one, code in zip(flat[::2], flat[1::2], strict=True)
    ]
    render.table(rows, render.choose(json))
    if not rows:
        complain("nobody was told: no other node is active")
    raise typer.Exit(0 if any(row["status"] == 200 for row in rows) else NO)


def _must_be_declared(client: Client, channel: str) -> None:
    """To listen where nobody can ever speak is a mistake; who may not ask is believed."""
    try:
        declared = client.call("DMQ.CHANNEL")[::2]
    except CommandFailed:
        return
    if channel not in declared:
        known = ", ".join(declared) or "none"
        raise CommandFailed(f"no channel {channel!r}: --channel {channel} declares it; there are: {known}")


def _text(body: str) -> str:
    return sys.stdin.buffer.read().decode("utf-8", "surrogateescape") if body == "-" else body


COMMANDS = (Entry(watch), Entry(subscribe), Entry(send, MINUS), Entry(broadcast, MINUS))
