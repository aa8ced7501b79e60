"""The ``presence`` channel's bodies: any bytes in, a :class:`PresenceWord` out, or a BodyRefused; and back.

Seen on Kamailio 5.6.3, 6.0.1 and 6.1.5 (``tests/vectors/peers``). All tell publications; who asks for all of
them gets nothing from 5.6 and 6.0. 6.1 tells subscriptions too, if told to (``enable_subs_dmq``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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


_SUBSCRIPTION_KINDS: Final[Mapping[str, type]] = {
    **dict.fromkeys(("pres_uri", "contact", "local_contact", "watcher_domain", "watcher_user"), str),
    **dict.fromkeys(("from_domain", "from_user", "to_domain", "to_user", "from_tag", "to_tag"), str),
    **dict.fromkeys(("user_agent", "callid", "reason", "socket_info", "record_route", "event_id"), str),
    "event": str,
    **dict.fromkeys(("local_cseq", "remote_cseq", "expires", "flags", "status", "version"), int),
    **dict.fromkeys(("updated", "updated_winfo"), int),
}
_OF_SUBSCRIPTION: Final = (
    "pres_uri",
    "watcher_user",
    "watcher_domain",
    "event",
    *("callid", "from_tag", "to_tag"),
)


class PresenceAction(IntEnum):
    """Values of ``action``."""

    PRESENTITY = 1
    SYNC_PRESENTITIES = 2
    SUBSCRIPTION = 3
    SYNC_SUBSCRIPTIONS = 4


@dataclass(frozen=True, slots=True)
class PresenceWord:
    """One message. ``presentity``: the object of that name; ``fields``: what stands beside it, the document
    (``body``) too; ``subscription``: the object of that name. All empty in the other actions."""

    action: PresenceAction
    presentity: Fields = field(default_factory=dict)
    fields: Fields = field(default_factory=dict)
    subscription: Fields = field(default_factory=dict)

    @property
    def removes(self) -> bool:
        """Whether the publication is over: it expires at once."""
        return self.presentity.get("expires") == 0


def read_presence(body: bytes) -> PresenceWord:
    """Read one body. Raises BodyRefused, nothing else."""
    fields = dict(read_fields(body))
    action = action_of(fields, PresenceAction)
    del fields["action"]
    if action is PresenceAction.SUBSCRIPTION:
        return PresenceWord(action, subscription=_subscription(fields))
    if action is not PresenceAction.PRESENTITY:
        return PresenceWord(action)
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


def _subscription(fields: Fields) -> Fields:
    subscription = fields.get("subscription")
    if not isinstance(subscription, Mapping):
        raise BodyRefused(Refusal.MISSING_FIELD, "subscription")
    check_types(subscription, _SUBSCRIPTION_KINDS)
    for name in _OF_SUBSCRIPTION:
        text_of(subscription, name)
    for name in ("expires", "version"):
        integer_of(subscription, name, 0, MAX_INTEGER)
    return subscription


#: Asks for all publications, and for all subscriptions.
SYNC_BODY: Final = b'{"action":2}'
SYNC_SUBSCRIPTIONS_BODY: Final = b'{"action":4}'


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


def write_subscription(subscription: Fields) -> bytes:
    """The body that tells a subscription, in the same way."""
    known = {
        name: value
        for name, value in subscription.items()
        if name in _SUBSCRIPTION_KINDS and isinstance(value, str | int)
    }
    return write_fields({"action": int(PresenceAction.SUBSCRIPTION), "subscription": known})
