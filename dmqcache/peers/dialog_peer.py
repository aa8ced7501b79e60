"""The ``dialog`` channel's peer: the calls of all Kamailio nodes, as ``--peer dialog`` has them.

A mirror and a donor. It never ends a call and sends neither a state nor a removal: it asks, and tells calls
to who asks. What a message means is ``dialog_wire.py``'s, what becomes of a call, ``dialog_call.py``'s.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Final

from dmqcache.bus.node import Node
from dmqcache.peers.dialog_call import CALL_STATES, ENDED_S, Call, told
from dmqcache.peers.dialog_wire import (
    SYNC_BODY,
    DialogAction,
    DialogKey,
    DialogState,
    read_dialog,
    write_update,
)
from dmqcache.peers.mirror import Mirror

#: What a call may be, as metrics and lists have it.
CALL_WORDS: Final = (*CALL_STATES, "stale")
#: Profiles that are counted by name, all others as one: a name that is made of something of a call would
#: else fill the metrics.
MAX_PROFILE_NAMES: Final = 100
OTHER_PROFILES: Final = "other"

#: Kamailio 6.2 and later: it knows ``last_modified``.
_KNOWS_STAMPS = re.compile(r"kamailio \((?:6\.(?:[2-9]|\d\d)|[7-9]\.|\d\d)", re.IGNORECASE)


class DialogPeer(Mirror[DialogKey, Call]):
    """The calls. ``calls()`` is what is known of now."""

    __slots__ = ("_profiles", "answered", "setups")

    sync_body = SYNC_BODY

    def __init__(self) -> None:
        super().__init__("dialog")
        #: Profile -> how many calls are in it; those that some call is in.
        self._profiles: Counter[str] = Counter()
        #: Calls that began, and that were answered, since this node runs.
        self.setups = 0
        self.answered = 0

    def calls(self, text: str = "") -> list[Call]:
        """The calls that have not ended, in the order in which they were heard of; with ``text``, those with
        it in their Call-ID or a party's URI."""
        return list(self.each_call(text))

    def each_call(self, text: str = "") -> Iterator[Call]:
        """The same, one by one; calls that end meanwhile are left out."""
        for key in self.records.listed():
            call = self.records.get(key)
            if call is not None and not call.ended and call.has(text):
                yield call

    def call(self, call_id: str) -> Call | None:
        """The call with this Call-ID; None: there is none, or it has ended."""
        return next((call for call in self.each_call() if call.call_id == call_id), None)

    def by_state(self) -> dict[str, int]:
        """How many calls are in which state: the words of :data:`CALL_WORDS`."""
        return {word: self.records.counted.get(word, 0) for word in CALL_WORDS}

    def by_profile(self) -> dict[str, int]:
        """How many calls each profile has that some call is in: its size, over all of its values. Of more
        than :data:`MAX_PROFILE_NAMES` those that were heard of first, and all others together."""
        sizes = iter(self._profiles.items())
        named = dict(islice(sizes, MAX_PROFILE_NAMES))
        others = sum(size for _, size in sizes)
        return named | ({OTHER_PROFILES: named.get(OTHER_PROFILES, 0) + others} if others else {})

    # -- a mirror's --------------------------------------------------------------------------------------

    def hear(self, body: bytes, now: float) -> bool:
        word = read_dialog(body)
        self.counts.words[word.action.name.lower()] += 1
        if word.key is None:
            return True
        before = self.records.get(word.key)
        if word.action is DialogAction.REMOVE:
            if before is not None:
                self.records.remove(word.key, before.call_id, now)
            return False
        after = told(before, word)
        if after is None:
            self.counts.refused["unknown_call"] += 1
        elif after is not before:
            self._take(after, now, is_new=word.state is DialogState.UNCONFIRMED)
        return False

    def _take(self, call: Call, now: float, is_new: bool) -> None:
        known = self.records.get(call.key)
        late = self.records.removed(call.key) == call.call_id
        if late or (call.leaves_at <= now and not call.ended):
            self.counts.refused["late"] += 1
            return
        if call.ended:
            self.records.put(call.key, call, now, now + ENDED_S)
        else:
            self.records.put(call.key, call, now, call.leaves_at, call.stale_at)
        same = known is not None and known.call_id == call.call_id
        self.setups += is_new and not same
        self.answered += same and known is not None and not known.answered and call.answered is not None

    def body_of(self, key: DialogKey, node: Node, now: float) -> bytes | None:
        """What has ended or should have is not given: nobody might ever remove it there."""
        call = self.records.get(key)
        if call is None or call.ended or call.over_at <= now:
            return None
        return write_update(key, call.fields, stamped=node.ours or bool(_KNOWS_STAMPS.match(node.user_agent)))

    def word_of(self, record: Call, stale: bool) -> str:
        return "stale" if stale and not record.ended else record.state

    def changed(self, before: Call | None, after: Call | None) -> None:
        were, are = (_profile_names(call) for call in (before, after))
        for name in were - are:
            self._profiles[name] -= 1
            if not self._profiles[name]:
                del self._profiles[name]
        self._profiles.update(are - were)

    def over(self, key: DialogKey, record: Call, now: float) -> None:
        """So that nobody who tells it once more brings it back."""
        self.records.remove(key, record.call_id, now)


def _profile_names(call: Call | None) -> set[str]:
    return set() if call is None or call.ended else {profile.name for profile in call.profiles}
