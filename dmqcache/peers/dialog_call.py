"""A call as the ``dialog`` channel has told it: what a word makes of it, what it is, until when it counts.

Pure: no clock, no bus. A call that nobody has removed is stale once its time is over; that is shown here and
told to nobody, as only a Kamailio ends calls. Times are Unix seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dmqcache.peers.dialog_wire import DialogAction, DialogKey, DialogState, DialogWord, Profile, profiles_of
from dmqcache.peers.json_fields import Field, Fields, integer_in, text_in

#: Kamailio's ``default_timeout``, for a call whose lifetime is not told yet: 5.6 says none before it rings.
DEFAULT_LIFETIME_S: Final = 43_200
#: Kamailio's ``early_timeout``: after it, a call that nobody answered is hardly one any more.
RINGING_S: Final = 300
#: A stale call is shown so long.
STALE_S: Final = 300
#: Kamailio says that a call has ended, and some five seconds later that it is removed. If it does not.
ENDED_S: Final = 60

#: What belongs to a state, and is told with it.
_WITH_STATE: Final = (
    *("state", "start_ts", "lifetime", "tag1", "cseq1", "route_set1", "contact1"),
    *("tag2", "cseq2", "route_set2", "contact2"),
)
#: What an update tells in whole: without the field, there is none any more.
_WHOLE: Final = ("vars", "profiles")
_STATES: Final[Mapping[DialogState, str]] = {
    DialogState.UNCONFIRMED: "calling",
    DialogState.EARLY: "ringing",
    DialogState.CONFIRMED_NA: "answered",
    DialogState.CONFIRMED: "talking",
    DialogState.DELETED: "ended",
}
#: The words for the states of a call, as lists and metrics have them. ``answered``: without an ACK yet.
CALL_STATES: Final[Sequence[str]] = tuple(_STATES.values())


@dataclass(frozen=True, slots=True)
class Call:
    """One call. ``fields``: all that was told of it, letter by letter."""

    key: DialogKey
    fields: Fields

    @property
    def call_id(self) -> str:
        return text_in(self.fields, "callid")

    @property
    def from_uri(self) -> str:
        return text_in(self.fields, "from_uri")

    @property
    def to_uri(self) -> str:
        return text_in(self.fields, "to_uri")

    @property
    def dialog_state(self) -> DialogState:
        return DialogState(integer_in(self.fields, "state"))

    @property
    def state(self) -> str:
        """A word of :data:`CALL_STATES`."""
        return _STATES[self.dialog_state]

    @property
    def ended(self) -> bool:
        return self.dialog_state is DialogState.DELETED

    @property
    def began(self) -> int:
        """When the INVITE came."""
        return integer_in(self.fields, "init_ts")

    @property
    def answered(self) -> int | None:
        """When the call was answered; None: it was not."""
        return integer_in(self.fields, "start_ts") or None

    @property
    def lifetime(self) -> int:
        """After so many seconds its Kamailio ends it."""
        return integer_in(self.fields, "lifetime") or DEFAULT_LIFETIME_S

    @property
    def profiles(self) -> Sequence[Profile]:
        return profiles_of(self.fields)

    @property
    def variables(self) -> Mapping[str, str | int]:
        """``$dlg_var(...)`` of its Kamailio."""
        found = self.fields.get("vars")
        return found if isinstance(found, Mapping) else {}

    @property
    def over_at(self) -> int:
        """When its lifetime is over; of a call that is not answered, counted from its INVITE."""
        return (self.answered or self.began) + self.lifetime

    @property
    def stale_at(self) -> int:
        """From when on it should be over: its removal was missed, or its Kamailio is gone."""
        return self.over_at if self.answered else min(self.over_at, self.began + RINGING_S)

    def stale(self, now: float) -> bool:
        """Whether it should be over."""
        return now >= self.stale_at

    def has(self, text: str) -> bool:
        """Whether its Call-ID or the URI of a party contains ``text``."""
        return any(text in one for one in (self.call_id, self.from_uri, self.to_uri))

    @property
    def leaves_at(self) -> int:
        """When the mirror forgets it though nobody has removed it."""
        return self.over_at + STALE_S

    def shown(self, now: float) -> dict[str, Any]:
        """As lists have it: the words, and everything that was told."""
        age = max(0, int(now) - (self.answered or self.began))
        return {
            "call_id": self.call_id,
            "state": "stale" if self.stale(now) and not self.ended else self.state,
            "from": self.from_uri,
            "to": self.to_uri,
            "age_s": age,
            "profiles": [f"{name}={value}" if value else name for name, value in self.profiles],
            "dialog": f"{self.key.h_entry}:{self.key.h_id}",
            "fields": dict(self.fields),
        }


def told(call: Call | None, word: DialogWord) -> Call | None:
    """What an UPDATE or a STATE makes of a call (None: it is not known). The very same call: nothing, as the
    word is late, or says what is so. Kamailio itself takes no state back either."""
    assert word.key is not None
    if word.action is DialogAction.STATE:
        if call is None or word.state < call.dialog_state or _older(call, word):
            return call
        return _changed(call, {**call.fields, **word.fields})
    if call is None or call.call_id != word.fields["callid"]:
        return Call(word.key, word.fields)  # The slot's number was given to another call.
    if _older(call, word):
        return call
    kept: dict[str, Field] = {name: value for name, value in call.fields.items() if name not in _WHOLE}
    later = word.state < call.dialog_state
    news = {name: value for name, value in word.fields.items() if not (later and name in _WITH_STATE)}
    return _changed(call, kept | news)


def _changed(call: Call, fields: Fields) -> Call:
    return call if dict(call.fields) == dict(fields) else Call(call.key, fields)


def _older(call: Call, word: DialogWord) -> bool:
    """By 6.2's own stamps, in seconds; others have none."""
    before, now = call.fields.get("last_modified"), word.fields.get("last_modified")
    return isinstance(before, int) and isinstance(now, int) and now < before
