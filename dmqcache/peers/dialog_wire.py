"""The ``dialog`` channel's bodies: any bytes in, a :class:`DialogWord` out, or a BodyRefused; and back.

Seen on Kamailio 5.6.3, 6.0.1, 6.1.5 and 6.2.0-dev1 (``tests/vectors/peers``). What becomes of a call by a
word is ``dialog_call.py``'s.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, NamedTuple

from dmqcache.peers.json_fields import (
    MAX_INTEGER,
    BodyRefused,
    Field,
    Fields,
    Refusal,
    action_of,
    check_types,
    integer_of,
    read_fields,
    text_of,
    write_fields,
)

#: A C ``unsigned int``, as ``h_entry`` and ``h_id`` are.
MAX_HASH: Final = 2**32 - 1
#: Profiles of one call that are looked at.
MAX_PROFILES: Final = 64

_KINDS: Final[Mapping[str, type]] = {
    **dict.fromkeys(("last_modified", "init_ts", "start_ts", "lifetime", "state", "iflags"), int),
    **dict.fromkeys(("callid", "from_uri", "to_uri", "req_uri", "profiles"), str),
    **dict.fromkeys(("tag1", "cseq1", "route_set1", "contact1"), str),
    **dict.fromkeys(("tag2", "cseq2", "route_set2", "contact2"), str),
    "vars": dict,
}
_TIMES: Final = ("last_modified", "init_ts", "start_ts", "lifetime")
#: What each update of a Kamailio has beside its state, and each that tells a call which was answered.
_OF_CALL: Final = ("callid", "from_uri", "to_uri", "req_uri", "tag1", "cseq1", "route_set1", "contact1")
_OF_ANSWERED: Final = ("tag2", "cseq2", "route_set2", "contact2")


class DialogAction(IntEnum):
    """Values of ``action``."""

    UPDATE = 1
    STATE = 2
    REMOVE = 3
    SYNC = 4


class DialogState(IntEnum):
    """Values of ``state``, by the words of Kamailio's module."""

    UNCONFIRMED = 1
    EARLY = 2
    CONFIRMED_NA = 3
    CONFIRMED = 4
    DELETED = 5


class DialogKey(NamedTuple):
    """What a dialog is known by on the channel: the slot of its hash table, and its number in that."""

    h_entry: int
    h_id: int


class Profile(NamedTuple):
    """A profile that a call is counted in (``set_dlg_profile``); ``value`` is empty where it has none."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class DialogWord:
    """One message. ``fields``: all but the action and the key, unknown ones too."""

    action: DialogAction
    #: None in a SYNC alone.
    key: DialogKey | None
    fields: Fields

    @property
    def state(self) -> DialogState:
        """Of an UPDATE or a STATE; a REMOVE's is DELETED."""
        return DialogState(integer_of(self.fields, "state", 1, 5))


def read_dialog(body: bytes) -> DialogWord:
    """Read one body. Raises BodyRefused, nothing else."""
    fields = dict(read_fields(body))
    action = action_of(fields, DialogAction)
    del fields["action"]
    if action is DialogAction.SYNC:
        return DialogWord(action, None, fields)
    key = DialogKey(integer_of(fields, "h_entry", 0, MAX_HASH), integer_of(fields, "h_id", 0, MAX_HASH))
    del fields["h_entry"], fields["h_id"]
    check_types(fields, _KINDS)
    for name in _TIMES:
        if name in fields:
            integer_of(fields, name, 0, MAX_INTEGER)
    _check_variables(fields)
    if action is DialogAction.UPDATE:
        integer_of(fields, "init_ts", 0, MAX_INTEGER)
        for name in _OF_CALL:
            text_of(fields, name)
    if action is not DialogAction.REMOVE or "state" in fields:
        _check_state(fields)
    return DialogWord(action, key, fields)


def _check_state(fields: Fields) -> None:
    state = fields.get("state")
    if state is None:
        raise BodyRefused(Refusal.MISSING_FIELD, "state")
    if state not in list(DialogState):
        raise BodyRefused(Refusal.UNKNOWN_STATE, str(state)[:24])


def _check_variables(fields: Fields) -> None:
    """A dialog's variables are texts. Nobody may get another kind from us: what is kept is told to others."""
    variables = fields.get("vars")
    if isinstance(variables, Mapping) and not all(isinstance(one, str) for one in variables.values()):
        raise BodyRefused(Refusal.WRONG_TYPE, "vars")


#: Asks for all dialogs.
SYNC_BODY: Final = b'{"action":4}'


def write_update(key: DialogKey, fields: Fields, *, stamped: bool) -> bytes | None:
    """The body that tells a call; None: too little is known of it for a Kamailio. Of the fields those that
    every release reads; ``stamped``: with ``last_modified``, for one that knows it (6.2)."""
    needed = _OF_CALL + (_OF_ANSWERED if fields.get("start_ts") else ())
    if not all(name in fields for name in needed):
        return None
    told: dict[str, Field] = {"action": int(DialogAction.UPDATE), **key._asdict()}
    known = (name for name in fields if name in _KINDS and (stamped or name != "last_modified"))
    return write_fields(told | {name: fields[name] for name in known})


def profiles_of(fields: Fields) -> Sequence[Profile]:
    """The profiles in a call's field of that name, which is JSON within a text. What cannot be read is
    left out: a call is shown without."""
    said = fields.get("profiles")
    try:
        read: Any = json.loads(said) if isinstance(said, str) else None
    except (ValueError, RecursionError):
        return ()
    rows = read.get("profiles") if isinstance(read, dict) else None
    found = [_profile(row) for row in rows[:MAX_PROFILES]] if isinstance(rows, list) else []
    return [profile for profile in found if profile is not None]


def _profile(row: object) -> Profile | None:
    if not isinstance(row, dict) or not isinstance(row.get("name"), str):
        return None
    value = row.get("value", "")
    return Profile(row["name"], value) if isinstance(value, str) else None
