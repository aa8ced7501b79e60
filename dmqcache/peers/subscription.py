"""A subscription as the ``presence`` channel has told it: whose it is, to what, and until when it counts.

Pure: no clock, no bus. It is known by its dialog (RFC 6665); each word about it has a higher version. Times
are Unix seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from dmqcache.peers.json_fields import Fields, integer_of, text_of

#: Kamailio's ``status`` of a subscription that is over.
TERMINATED: Final = 3
#: Kamailio's other numbers for it, in RFC 6665's words.
_STATUSES: Final = {1: "active", 2: "pending", 3: "terminated", 4: "waiting"}


class SubscriptionKey(NamedTuple):
    """What a subscription is known by: its dialog."""

    call_id: str
    from_tag: str
    to_tag: str


@dataclass(frozen=True, slots=True)
class Subscription:
    """One subscription. ``fields``: all that was told of it last, letter by letter."""

    fields: Fields

    @property
    def key(self) -> SubscriptionKey:
        return SubscriptionKey(*(text_of(self.fields, name) for name in ("callid", "from_tag", "to_tag")))

    @property
    def presentity(self) -> str:
        """The URI that is watched."""
        return text_of(self.fields, "pres_uri")

    @property
    def watcher(self) -> str:
        """The URI of who watches."""
        return f"sip:{text_of(self.fields, 'watcher_user')}@{text_of(self.fields, 'watcher_domain')}"

    @property
    def event(self) -> str:
        return text_of(self.fields, "event")

    @property
    def version(self) -> int:
        return integer_of(self.fields, "version", 0, 2**63 - 1)

    @property
    def over_at(self) -> int:
        """When it expires."""
        return integer_of(self.fields, "expires", 0, 2**63 - 1)

    @property
    def status(self) -> str:
        """``active``, ``pending``, ``waiting`` or ``terminated``."""
        said = self.fields.get("status")
        return _STATUSES.get(said, "active") if isinstance(said, int) else "active"

    def has(self, text: str) -> bool:
        """Whether the URI of who watches, or who is watched, contains ``text``."""
        return text in self.presentity or text in self.watcher

    def over(self, now: float) -> bool:
        """Whether it has ended, or should have."""
        return self.fields.get("status") == TERMINATED or self.over_at <= now

    def shown(self, now: float) -> dict[str, Any]:
        """As lists have it: the words, and everything that was told."""
        return {
            "presentity": self.presentity,
            "watcher": self.watcher,
            "event": self.event,
            "status": self.status,
            "expires_s": max(0, int(self.over_at - now)),
            "fields": dict(self.fields),
        }
