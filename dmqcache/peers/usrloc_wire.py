"""The ``usrloc`` channel's bodies: any bytes in, :class:`UsrlocWord`s out, or a BodyRefused; and back.

Seen on Kamailio 5.6.3, 6.0, 6.1 and 6.2.0-dev1, module dmq_usrloc (``tests/vectors/peers``). What becomes
of a contact by a word is ``contact.py``'s.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from dmqcache.peers.json_fields import (
    MAX_INTEGER,
    BodyRefused,
    Fields,
    Refusal,
    action_of,
    check_types,
    integer_of,
    read_object,
    text_of,
    write_fields,
)

#: A contact, its xavps, and lists of values in those.
MAX_DEPTH: Final = 6
#: What a batch has around its contacts: whatever was told alone can be told in one.
BATCH_DEPTH: Final = 2
#: Contacts of one batch, as many as module dmq_usrloc puts into it at most.
MAX_BATCH: Final = 150

_TEXTS: Final = (
    *("aor", "ruid", "c", "received", "path", "callid", "user_agent", "instance"),
    *("sock", "sockname"),
)
_NUMBERS: Final = (
    *("expires", "cseq", "flags", "cflags", "q", "last_modified", "methods", "reg_id", "server_id"),
)
_KINDS: Final[Mapping[str, type]] = {
    **dict.fromkeys(_TEXTS, str),
    **dict.fromkeys(_NUMBERS, int),
    "xavps": dict,
}
_BATCH: Final = re.compile(rb'\s*\{\s*"multi"')
#: Names of fields are kept once, and not once for each contact.
_SHARED: Final[Mapping[str, str]] = {name: name for name in _KINDS}


class UsrlocAction(IntEnum):
    """Values of ``action``."""

    #: A contact is new, or was refreshed.
    UPDATE = 1
    REMOVE = 2
    #: Asks for all contacts.
    SYNC = 3


@dataclass(frozen=True, slots=True)
class UsrlocWord:
    """One contact's news, or a question for all. ``fields``: all but the action, unknown ones too."""

    action: UsrlocAction
    fields: Fields
    #: It came with others, as an answer: without its ``xavps``, whether it has any or not.
    batched: bool = False


def read_usrloc(body: bytes) -> list[UsrlocWord]:
    """Read one body; one without any action says nothing, as to a Kamailio. Raises BodyRefused, nothing
    else."""
    fields = read_object(body, MAX_DEPTH + (BATCH_DEPTH if _BATCH.match(body) else 0))
    batch = fields.get("multi")
    if batch is None:
        return [] if "action" not in fields else [_word(fields, batched=False)]
    if not isinstance(batch, Mapping):
        raise BodyRefused(Refusal.WRONG_TYPE, "multi")
    return [_word(_object(one), batched=True) for one in batch.values()]


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BodyRefused(Refusal.WRONG_TYPE, "multi")
    return value


def _word(fields: dict[str, Any], *, batched: bool) -> UsrlocWord:
    action = action_of(fields, UsrlocAction)
    fields = {_SHARED.get(name, name): value for name, value in fields.items() if name != "action"}
    if action is UsrlocAction.SYNC:
        return UsrlocWord(action, {}, batched)
    check_types(fields, _KINDS)
    for name in ("aor", "ruid") if action is UsrlocAction.REMOVE else ("aor", "ruid", "c"):
        text_of(fields, name)
    if not fields["aor"]:
        raise BodyRefused(Refusal.MISSING_FIELD, "aor")
    for name in ("expires", "last_modified"):
        if name in fields or action is UsrlocAction.UPDATE:
            integer_of(fields, name, 0, MAX_INTEGER)
    return UsrlocWord(action, fields, batched)


#: Asks for all contacts.
SYNC_BODY: Final = b'{"action":3}'


def write_contact(fields: Fields, action: UsrlocAction = UsrlocAction.UPDATE) -> bytes:
    """The body that tells one contact."""
    return write_fields({"action": int(action), **fields})


def write_batches(
    contacts: Iterable[Fields], most_bytes: int, action: UsrlocAction = UsrlocAction.UPDATE
) -> Iterator[bytes]:
    """Bodies that tell contacts, as many in each as a Kamailio takes."""
    written: list[bytes] = []
    length = 0
    for fields in contacts:
        one = b'"%d":' + write_contact(fields, action)
        if written and (len(written) >= MAX_BATCH or length + len(one) + 20 > most_bytes):
            yield _batch(written)
            written, length = [], 0
        written.append(one)
        length += len(one) + 4
    if written:
        yield _batch(written)


def _batch(written: list[bytes]) -> bytes:
    numbered = (one.replace(b"%d", b"%d" % number, 1) for number, one in enumerate(written, 1))
    return b'{"multi":{' + b",".join(numbered) + b"}}"


def contacts_in(body: bytes) -> int:
    """How many contacts a body of ours tells."""
    return body.count(b'{"action":1,')
