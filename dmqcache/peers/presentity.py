"""A publication as the ``presence`` channel has told it: what a word makes of it, and until when it counts.

Pure: no clock, no bus. A publication is known by its entity tag (RFC 3903), which changes with each refresh:
a word names the tag before, and the new one. Its ``ruid`` may change as well. Times are Unix seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from dmqcache.peers.json_fields import Field, Fields, integer_in, text_in
from dmqcache.peers.presence_wire import PresenceWord, write_presentity


class PublicationKey(NamedTuple):
    """What a publication is known by."""

    user: str
    domain: str
    event: str
    etag: str


@dataclass(frozen=True, slots=True)
class Presentity:
    """One publication. ``presentity`` and ``fields``: all that was told of it last, letter by letter, but the
    document, which a refresh leaves out."""

    presentity: Fields
    fields: Fields

    @property
    def uri(self) -> str:
        return f"sip:{text_in(self.presentity, 'user')}@{text_in(self.presentity, 'domain')}"

    @property
    def event(self) -> str:
        return text_in(self.presentity, "event")

    @property
    def etag(self) -> str:
        """The entity tag that the next PUBLISH has to name: the new one, if the last one brought one."""
        return text_in(self.fields, "cur_etag") or text_in(self.presentity, "etag")

    @property
    def document(self) -> str:
        """What was published, a PIDF for example."""
        return text_in(self.fields, "body")

    @property
    def over_at(self) -> int:
        """When it expires: it is told in seconds from its receipt."""
        return integer_in(self.presentity, "recv") + integer_in(self.presentity, "expires")

    def has(self, text: str) -> bool:
        """Whether its presentity's URI contains ``text``."""
        return text in self.uri

    def shown(self, now: float) -> dict[str, Any]:
        """As lists have it: the words, and everything that was told."""
        return {
            "presentity": self.uri,
            "event": self.event,
            "etag": self.etag,
            "expires_s": max(0, int(self.over_at - now)),
            "document": self.document,
            "fields": {"presentity": dict(self.presentity), **self.fields},
        }

    def body(self, now: float) -> bytes:
        """The message that tells it to a Kamailio that has lost it: as a new one, received now, with the time
        that is left. 5.6 counts it from now, whatever ``recv`` says, and 6.1 from ``recv``."""
        presentity: dict[str, Field] = dict(self.presentity)
        left = max(1, int(self.over_at - now))
        presentity |= {"etag": self.etag, "expires": left, "recv": int(now)}
        return write_presentity(
            presentity, {**self.fields, "t_new": 1, "cur_etag": "", "body": self.document}
        )


def keys_of(word: PresenceWord) -> tuple[PublicationKey, PublicationKey]:
    """The publication that a word speaks of: by the tag that it had before, and by the one of now."""
    user, domain, event, etag = (
        text_in(word.presentity, name) for name in ("user", "domain", "event", "etag")
    )
    newest = text_in(word.fields, "cur_etag") or etag
    return PublicationKey(user, domain, event, etag), PublicationKey(user, domain, event, newest)


def published(before: Presentity | None, word: PresenceWord) -> Presentity | None:
    """What a word makes of a publication; None: it is over. The very same: the word is late."""
    if before is not None and integer_in(word.presentity, "recv") < integer_in(before.presentity, "recv"):
        return before
    if word.removes:
        return None
    fields = dict(word.fields)
    if not fields.get("body") and before is not None:
        fields["body"] = before.document
    return Presentity(word.presentity, fields)
