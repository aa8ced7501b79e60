"""The command table and how one command is run: name, number of arguments, handler, reply.

What the commands do stands in the files beside, ``commands_*.py``.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator
from dataclasses import replace
from functools import partial
from typing import Final

from dmqcache.bus.loop_steps import step
from dmqcache.server.resp import (
    commands_bitfield,
    commands_bits,
    commands_bytes,
    commands_channel,
    commands_client,
    commands_config,
    commands_connection,
    commands_dmq,
    commands_dump,
    commands_expiry,
    commands_key,
    commands_lcs,
    commands_memory,
    commands_monitor,
    commands_number,
    commands_object,
    commands_pubsub,
    commands_scan,
    commands_script,
    commands_server,
    commands_string,
    commands_transaction,
)
from dmqcache.server.resp.access import keys_of
from dmqcache.server.resp.command import Command
from dmqcache.server.resp.commands_acl import AclCommands
from dmqcache.server.resp.commands_command import CommandList
from dmqcache.server.resp.evicted_keys import guarded
from dmqcache.server.resp.long_reply import Reply
from dmqcache.server.resp.looking_on import is_quick, run_looked_at, timed
from dmqcache.server.resp.pause import changes
from dmqcache.server.resp.permission import check
from dmqcache.server.resp.reply import CommandError, Rejected, error, wrong_arity
from dmqcache.server.resp.run_tracked import run_tracked, spend
from dmqcache.server.resp.session import Answer, Session
from dmqcache.server.resp.steps import to_its_end

log = logging.getLogger("dmqcache.server.resp.connection")

#: How a web page's request begins that a browser was made to send here: a page may write to any port of the
#: machine that it is shown on. As Redis does, nothing of what follows is run.
HTTP_WORDS = frozenset({"POST", "HOST:"})
#: How much of an unknown command and its arguments is told back (Redis: 128 characters).
MAX_SHOWN = 128


#: The files by the group under which COMMAND tells of their commands (Redis' names).
GROUPS: Final = (
    ("string", (commands_string, commands_number, commands_bytes, commands_lcs)),
    ("bitmap", (commands_bits, commands_bitfield)),
    ("generic", (commands_key, commands_object, commands_expiry, commands_scan, commands_dump)),
    ("connection", (commands_connection, commands_client)),
    ("pubsub", (commands_pubsub, commands_channel)),
    ("scripting", (commands_script,)),
    ("transactions", (commands_transaction,)),
    ("server", (commands_server, commands_memory, commands_config, commands_dmq, commands_monitor)),
)


def _table() -> dict[str, Command]:
    # What COMMAND and ACL tell of, they themselves included.
    known: dict[str, Command] = {}
    everything = [
        _of_group(command, group) for group, files in GROUPS for file in files for command in file.COMMANDS
    ]
    everything += [
        _of_group(command, "server") for command in (CommandList(known).entry(), AclCommands(known).entry())
    ]
    known.update((command.name.lower(), command) for command in everything)
    by_name = {command.name: command for command in everything}
    # Both cases that clients use are found at once; any other is looked up again.
    return by_name | {name.lower(): command for name, command in by_name.items()}


def _of_group(command: Command, group: str) -> Command:
    """The command in its group, timed unless it is too quick for that."""
    parts = {name: _of_group(one, group) for name, one in command.subcommands.items()}
    command = guarded(command)
    handler = command.handler if is_quick(command) else timed(command)
    return replace(command, handler=handler, group=group, subcommands=parts)


#: Name in upper and in lower case -> command. Read only.
COMMANDS: dict[str, Command] = _table()


def execute(session: Session, args: list[str], is_ready: bool = False) -> Answer:
    """Run one command. Never raises: whatever goes wrong is an error reply. ``is_ready``: what it reads was
    put together before, in steps."""
    command = COMMANDS.get(args[0]) or COMMANDS.get(args[0].upper())
    try:
        if command is None:
            if args[0].upper() in HTTP_WORDS:
                return _hang_up(session)
            raise _unknown(args)
        if command.subcommands and len(args) > 1:
            command = _subcommand(command, args[1])
        arity = command.arity
        if len(args) != arity and (arity > 0 or len(args) < -arity):
            raise wrong_arity(command.name)
        if session.limited:
            check(session, command, args)
        if session.shared.pause.until and _must_wait(session, command):
            return _postponed(session, args)
        if session.transaction is not None and not command.immediate:
            if not session.transaction.failed:
                session.transaction.changes |= changes(command.name, command.flags)
            return commands_transaction.queue(session.transaction, args)
        if session.limited:
            return _run_limited(session, command, args, is_ready)
        return command.handler(session, args)
    except Rejected as problem:
        return _rejected(session, command, problem)
    except CommandError as problem:
        return _failed(session, command, str(problem))
    except ValueError as problem:
        # The tables' own words for what they do not hold.
        return _failed(session, command, f"ERR {problem}")
    except Exception:
        log.exception("a command failed", extra={"command": args[0][:MAX_SHOWN]})
        return _failed(session, command, "ERR internal error, see the node's log")


def _run_limited(session: Session, command: Command, args: list[str], is_ready: bool) -> Answer:
    """Run a command that somebody wants to know of, or that reads what must be put together first."""
    if session.only_reads and not is_ready and not session.executing:
        pieces = session.table.readied(_keys(session, command, args))
        try:
            step(pieces, session.shared.clock)
        except StopIteration as end:
            # Held while the command runs.
            _ = end.value
        else:
            return _when_ready(session, args, pieces)
    handler = command.handler
    if session.shared.looked_at:
        handler = partial(run_looked_at, command)
    if session.tracked is not None:
        return run_tracked(session, command, args, handler)
    return handler(session, args)


def _keys(session: Session, command: Command, args: list[str]) -> Iterator[str]:
    """What a command names, or those of the transaction that it ends."""
    queued = session.transaction.commands if command.name == "EXEC" and session.transaction else []
    for named, words in ((command, args), *((COMMANDS.get(one[0].upper()), one) for one in queued)):
        if named is not None:
            yield from (key for key, _ in keys_of(named, words))


async def _when_ready(session: Session, args: list[str], pieces: Generator[None, None, object]) -> Reply:
    """Run a command when all is put together that it reads. It is looked at anew: rules may have changed."""
    held = await to_its_end(session, pieces)
    answer = b"" if session.closing else execute(session, args, is_ready=True)
    reply = answer if isinstance(answer, bytes) else await answer
    del held
    return reply


def _must_wait(session: Session, command: Command) -> bool:
    """Whether a pause holds a command. Within a transaction or a script, and before the log-in, none is."""
    if session.executing or not session.authenticated:
        return False
    queued = session.transaction if command.name == "EXEC" else None
    changing = queued.changes if queued else changes(command.name, command.flags)
    return session.shared.pause.holds(changing)


async def _postponed(session: Session, args: list[str]) -> Reply:
    """Run a command when the pause is over. It is looked at anew: rules may have changed."""
    await session.shared.pause.over()
    answer = execute(session, args)
    return answer if isinstance(answer, bytes) else await answer


def _subcommand(command: Command, word: str) -> Command:
    found = command.subcommands.get(word) or command.subcommands.get(word.upper())
    if found is None:
        raise Rejected(f"ERR unknown subcommand '{word[:MAX_SHOWN]}'. Try {command.name} HELP.")
    return found


def _rejected(session: Session, command: Command | None, problem: Rejected) -> bytes:
    """Not even begun: after MULTI, EXEC will not run the others; an EXEC itself ends the transaction."""
    if command is not None and command.name == "EXEC":
        session.end_transaction()
        reason = str(problem).removeprefix("ERR ")
        return _failed(session, command, f"EXECABORT Transaction discarded because of: {reason}")
    if session.transaction is not None:
        session.transaction.failed = True
    return _failed(session, command, str(problem))


def _hang_up(session: Session) -> bytes:
    session.shared.counters.refused["http"] += 1
    session.closing = True
    return b""


def _failed(session: Session, command: Command | None, text: str) -> bytes:
    session.shared.counters.errors += 1
    spend(session, command)
    return error(text)


def _unknown(args: list[str]) -> Rejected:
    shown = ""
    for argument in args[1:]:
        if len(shown) >= MAX_SHOWN:
            break
        shown += f"'{argument[: MAX_SHOWN - len(shown)]}' "
    return Rejected(f"ERR unknown command '{args[0][:MAX_SHOWN]}', with args beginning with: {shown}")
