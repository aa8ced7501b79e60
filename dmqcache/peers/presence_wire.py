"""The ``presence`` channel's bodies: any bytes in, a :class:`PresenceWord` out, or a BodyRefused; and back.

Seen on Kamailio 5.6.3, 6.0.1 and 6.1.5 (``tests/vectors/peers``). They tell publications and nothing else,
and answer none of the other actions by more than a 200: who asks for all gets nothing from a Kamailio.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

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

_KINDS: Final[Mapping[str, type]] = {
    **dict.fromkeys(("cur_etag", "sphere", "ruid", "body"), str),
    "t_new": int,
    "presentity": dict,
}
_PRESENTITY_KINDS: Final[Mapping[str, type]] = {
    **dict.fromkeys(("domain", "user", "etag", "sender", "event"), str),
    **dict.fromkeys(("expires", "recv", "priority"), int),
}


class PresenceAction(IntEnum):
    """Values of ``action``."""

    PRESENTITY = 1
    SYNC_PRESENTITIES = 2
    SUBSCRIPTION = 3
    SYNC_SUBSCRIPTIONS = 4


@dataclass(frozen=True, slots=True)
class PresenceWord:
    """One message. ``presentity``: the object of that name; ``fields``: what stands beside it, the document
    (``body``) too. Both empty in the other actions."""

    action: PresenceAction
    presentity: Fields
    fields: Fields

    @property
    def removes(self) -> bool:
        """Whether the publication is over: it expires at once."""
        return self.presentity.get("expires") == 0


def read_presence(body: bytes) -> PresenceWord:
    """Read one body. Raises BodyRefused, nothing else."""
    fields = dict(read_fields(body))
    action = action_of(fields, PresenceAction)
    del fields["action"]
    if action is not PresenceAction.PRESENTITY:
        return PresenceWord(action, {}, {})
    check_types(fields, _KINDS)
    presentity = fields.pop("presentity", None)
    if not isinstance(presentity, Mapping):
        raise BodyRefused(Refusal.MISSING_FIELD, "presentity")
    check_types(presentity, _PRESENTITY_KINDS)
    for name in ("domain", "user", "etag", "event"):
        text_of(presentity, name)
    integer_of(presentity, "expires", 0, MAX_INTEGER)
    integer_of(presentity, "recv", 0, MAX_INTEGER)
    return PresenceWord(action, presentity, fields)


#: Asks for all publications. Kamailio says it, and answers it with nothing.
SYNC_BODY: Final = b'{"action":2}'


def write_presentity(presentity: Fields, fields: Fields) -> bytes:
    """The body that tells a publication: of the fields those that every release reads."""
    told: dict[str, Field] = {"action": int(PresenceAction.PRESENTITY)}
    inner = {
        name: value
        for name, value in presentity.items()
        if name in _PRESENTITY_KINDS and isinstance(value, str | int)
    }
    known = {name: value for name, value in fields.items() if name in _KINDS}
    return write_fields({**told, "presentity": inner, **known})
