"""Who was refused what, for ACL LOG: a bounded list in memory. What repeats is counted, as in Redis."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

#: Entries kept (Redis' acllog-max-len).
KEPT: Final = 128
#: Seconds within which the same refusal is counted instead of listed again (Redis').
GROUPED_S: Final = 60.0
#: Entries among which the same one is sought (Redis').
LOOKED_AT: Final = 10
#: Characters of a name that somebody else chose.
LONGEST: Final = 128


@dataclass(slots=True)
class Entry:
    """One kind of refusal."""

    #: ``command``, ``key``, ``channel``, ``table`` or ``auth``.
    reason: str
    #: ``toplevel`` or ``multi``.
    context: str
    #: The command, the key, the channel or the table; of ``auth`` the word by which it was tried.
    object: str
    username: str
    #: The connection, as CLIENT LIST shows it.
    client: str
    #: Monotonic seconds of the last one.
    at: float
    count: int = 1

    def is_like(self, other: Entry) -> bool:
        """Whether the other only repeats this one."""
        mine = (self.reason, self.context, self.object, self.username)
        return mine == (other.reason, other.context, other.object, other.username)


class AclLog:
    """The newest first."""

    def __init__(self) -> None:
        self.entries: deque[Entry] = deque(maxlen=KEPT)
        #: All there ever were, for INFO: refusals by reason.
        self.counts: dict[str, int] = dict.fromkeys(("auth", "command", "key", "channel", "table"), 0)

    def add(self, entry: Entry) -> None:
        """Somebody was refused."""
        self.counts[entry.reason] += 1
        entry.object, entry.username = entry.object[:LONGEST], entry.username[:LONGEST]
        entry.client = entry.client[: 4 * LONGEST]
        for place in range(min(LOOKED_AT, len(self.entries))):
            known = self.entries[place]
            if known.is_like(entry) and entry.at - known.at <= GROUPED_S:
                del self.entries[place]
                entry.count = known.count + 1
                break
        self.entries.appendleft(entry)

    def clear(self) -> None:
        """Forget the entries."""
        self.entries.clear()
