"""A registered contact as the ``usrloc`` channel has told it: what a word makes of it, until when it counts.

Pure: no clock, no bus. A contact is known by its ``ruid``, which the registrar gives it once; a refresh has
a later ``last_modified``. Times are Unix seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

from dmqcache.peers.json_fields import Fields, integer_in, text_in
from dmqcache.peers.usrloc_wire import UsrlocWord

#: When a contact leaves that never expires.
FOR_EVER: Final = 253_402_300_799
#: An address of record that nobody remembers.
UNKNOWN: Final = "?"
#: What differs between one REGISTER of a contact and the next.
REFRESH: Final = ("last_modified", "expires", "cseq", "callid")


@dataclass(frozen=True, slots=True)
class Contact:
    """One contact. ``fields``: all that was told of it last, letter by letter."""

    fields: Fields
    #: The node that told it, as a URI.
    node: str = ""

    @property
    def aor(self) -> str:
        """The address of record that it is bound to, as its registrar writes it."""
        return text_in(self.fields, "aor")

    @property
    def uri(self) -> str:
        """Where it is reached."""
        return text_in(self.fields, "c")

    @property
    def last_modified(self) -> int:
        return integer_in(self.fields, "last_modified")

    @property
    def expires(self) -> int | None:
        """When it expires; None: never."""
        return integer_in(self.fields, "expires") or None

    @property
    def over_at(self) -> int:
        """When it leaves."""
        return self.expires or FOR_EVER

    def shown(self, now: float) -> dict[str, Any]:
        """As lists have it: the words, and everything that was told."""
        return self._shown("expires_s", None if self.expires is None else max(0, int(self.expires - now)))

    def lasting(self) -> dict[str, Any]:
        """The same, as it is until something changes: with the Unix time of its end in ``expires``."""
        return self._shown("expires", self.expires)

    def _shown(self, name: str, end: int | None) -> dict[str, Any]:
        return {
            "aor": self.aor,
            "contact": self.uri,
            name: end,
            "user_agent": text_in(self.fields, "user_agent"),
            "received": text_in(self.fields, "received"),
            "path": text_in(self.fields, "path"),
            "node": self.node,
            "fields": dict(self.fields),
        }


def key_of(fields: Fields) -> str:
    """What a contact is known by: its ``ruid``, or where a registrar gives none, what its lookup has."""
    return text_in(fields, "ruid") or "\0".join(text_in(fields, name) for name in ("aor", "c", "callid"))


def removed_fields(key: str, modified: object, until: float) -> Fields:
    """The fields of a removal of which no more is known than the contact's key, when it was refreshed last
    (-1: never), and until when the removal counts."""
    parts = key.split("\0")
    lookup = {"aor": UNKNOWN, "ruid": key}
    if (
        len(parts) == 3 and parts[0]
    ):  # Texts with a NUL in them are told as one: they are known by it there too.
        lookup = {"aor": parts[0], "ruid": "", "c": parts[1], "callid": parts[2]}
    refreshed = {"last_modified": modified} if isinstance(modified, int) and modified >= 0 else {}
    return {**lookup, "expires": math.ceil(until), **refreshed}


def told(
    before: Contact | None, word: UsrlocWord, node: str, dated: bool = True, knows_xavps: bool = True
) -> Contact:
    """What an UPDATE makes of a contact (None: it is not known). The very same: the word is late, or says
    what is so. ``dated``: no earlier ``last_modified`` is taken back, and of the same second the last; as
    6.2 has it. Else what comes last counts, as for the releases before: their clocks may differ; but not what
    an earlier REGISTER said, which is a late copy of an answer.
    ``knows_xavps``: else the teller has not removed them by leaving them out. Nor has one that tells the same
    refresh with none: it has the contact from such a teller, as after a restart."""
    if before is None:
        return Contact(word.fields, node)
    if (dated or _is_earlier_register(before, word)) and _is_earlier(before, word):
        return before
    if dated and node != before.node and _is_same_refresh(before, word):
        return _completed(before, word)
    fields = dict(word.fields)
    same = integer_in(word.fields, "last_modified") == before.last_modified
    if (word.batched or same or not knows_xavps) and before.fields.get("xavps") and not fields.get("xavps"):
        fields["xavps"] = before.fields["xavps"]
    return before if fields == dict(before.fields) else Contact(fields, node)


def _is_earlier(before: Contact, word: UsrlocWord) -> bool:
    return integer_in(word.fields, "last_modified") < before.last_modified


def _is_earlier_register(before: Contact, word: UsrlocWord) -> bool:
    """Whether a word is of a REGISTER that the phone sent before (RFC 3261, 10.2.4: same Call-ID, lower
    CSeq). A phone that was started anew may begin with a low one again: then it is later by its time."""
    callid = text_in(before.fields, "callid")
    is_same = bool(callid) and callid == text_in(word.fields, "callid")
    return is_same and integer_in(word.fields, "cseq") < integer_in(before.fields, "cseq")


def _is_same_refresh(before: Contact, word: UsrlocWord) -> bool:
    return all(before.fields.get(name) == word.fields.get(name) for name in REFRESH)


def _completed(before: Contact, word: UsrlocWord) -> Contact:
    """A registrar shows what it was told by another, in the words of its own release: 6.x adds empty
    ``xavps`` to a contact of a 5.6, which leaves them out, as it does ``sock``. It remains the contact of who
    told it, who alone may have removed it unheard; what was not known of it yet is taken."""
    news = {
        name: value
        for name, value in word.fields.items()
        if value != {} and before.fields.get(name, {}) == {}
    }
    return Contact({**before.fields, **news}, before.node) if news else before
