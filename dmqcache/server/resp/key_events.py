"""Keyspace notifications: events of keys as messages to subscribers, Redis' ``notify-keyspace-events``.

Each node tells its own clients of what happens in its tables, whoever wrote it; so nobody hears it twice. The
tables are listened to only while somebody may want to hear: nobody else pays. Who may subscribe, the ACL's
channels say, as in Redis; and beyond Redis a user is told of no key that he may not read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from dmqcache.server.resp.subscriptions import Subscriptions
from dmqcache.store.table.happenings import Event, Events
from dmqcache.store.table.table import Table

#: The letters for kinds of events that ``A`` stands for, in Redis' order. Of those for its other types
#: nothing ever comes.
_ALL: Final = "g$lshzxetd"
_KNOWN: Final = _ALL + "KEn"
_LETTER: Final[Mapping[Event, str]] = {
    Event.NEW: "n",
    Event.SET: "$",
    Event.DEL: "g",
    Event.EXPIRE: "g",
    Event.PERSIST: "g",
    Event.EXPIRED: "x",
    Event.EVICTED: "e",
    Event.FLUSH: "g",
}


def parse_letters(text: str) -> frozenset[str]:
    """The letters, ``A`` spelt out. ValueError for one that Redis, or this server, has not."""
    letters = frozenset(text.replace("A", _ALL))
    if not letters <= frozenset(_KNOWN):
        raise ValueError(
            "Invalid event class character. Use 'Ag$lshzxeKEtdn'; 'm', a miss, would be told by none."
        )
    return letters


def written(letters: frozenset[str]) -> str:
    """As CONFIG GET shows them: in Redis' order."""
    kinds = "A" if letters >= frozenset(_ALL) else "".join(one for one in _ALL + "n" if one in letters)
    return kinds + "".join(one for one in "KE" if one in letters)


class KeyEvents:
    """What is told of the keys of all tables."""

    def __init__(self, tables: Mapping[str, Table], subscriptions: Subscriptions) -> None:
        self._tables = tables
        self._subscriptions = subscriptions
        self._letters: frozenset[str] = frozenset()
        self._forget: list[Callable[[], None]] = []

    @property
    def letters(self) -> str:
        """What is told, as CONFIG GET shows it."""
        return written(self._letters)

    def tell(self, letters: frozenset[str]) -> None:
        """From now on tell this. Without ``K`` or ``E`` nothing is."""
        self._letters = letters
        self.look()

    def look(self) -> None:
        """Somebody came or went: tables are listened to while somebody may want to hear."""
        wanted = bool(self._letters & {"K", "E"}) and self._subscriptions.may_want_keys
        if wanted and not self._forget:
            self._forget = [
                table.listen(self._listener(place, name))
                for place, (name, table) in enumerate(self._tables.items())
            ]
        elif not wanted and self._forget:
            for forget in self._forget:
                forget()
            self._forget = []

    def _listener(self, place: int, table: str) -> Callable[[str, Events], None]:
        def happened(key: str, events: Events) -> None:
            letters, deliver, about = self._letters, self._subscriptions.deliver, (table, key)
            for event in events:
                if _LETTER[event] not in letters:
                    continue
                if "K" in letters and event is not Event.FLUSH:
                    deliver(f"__keyspace@{place}__:{key}", event.value, about)
                if "E" in letters:
                    deliver(f"__keyevent@{place}__:{event}", key, about)

        return happened
