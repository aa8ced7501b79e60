"""What Kamailio nodes write, merged into a table: sets, times to live, deletes, removals by pattern.

A Kamailio up to 6.1 sends no version: such a write gets ours on arrival, or an earlier one where it is known
that it was sent before something else that came already (``overtaking.py``). ``sent`` is always what
:class:`~dmqcache.store.kamailio.overtaking.SendingOrder` says of the message.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil
from typing import Final

from dmqcache.store.kamailio.last_writes import LastWrites
from dmqcache.store.kamailio.overtaking import EarlyTime, EarlyTimes, Sent
from dmqcache.store.table.cell import DEFAULT_TTL, EXPIRED, NEVER, PROVISIONAL, UNTIMED, Cell, Value
from dmqcache.store.table.clock import MAX_AHEAD_MS, MAX_COUNT, ms_of, version_at
from dmqcache.store.table.happenings import Telling
from dmqcache.store.table.listing import listed
from dmqcache.store.table.merge import Arrivals, Collision, state_of
from dmqcache.store.table.patterns import MatchKind, MatchOn, compile_pattern
from dmqcache.store.table.settings import MAX_AUTOEXPIRE_S
from dmqcache.store.table.store_counters import StoreCounters
from dmqcache.store.table.table import Table
from dmqcache.store.table.version import State, Verdict, merge

#: Milliseconds by which a Kamailio 6.2's clock may be behind ours when it deletes a key and sets it again.
OWN_ECHO_MS: Final = 450
#: Keys that one step of a removal by pattern looks at, and sorts in.
STEP_KEYS: Final = 100
#: Removals by pattern that are remembered for sets that they overtook.
MAX_REMOVALS: Final = 100


@dataclass(frozen=True, slots=True)
class _Removal:
    """A removal of all keys that match, who said it, and when it came (monotonic seconds)."""

    matches: Callable[[str], bool]
    sender: str
    came: float


class KamailioArrivals(Arrivals):
    """The way into one table for what dmqcache nodes and Kamailio nodes wrote."""

    def __init__(self, table: Table, counters: StoreCounters) -> None:
        super().__init__(table, counters)
        #: Unix ms: up to then 6.2 nodes may hold this table's keys with a time that we do not believe.
        self.undated_until = 0
        self._early = EarlyTimes()
        self._writes = LastWrites()
        self._removals: deque[_Removal] = deque(maxlen=MAX_REMOVALS)

    def arrive_set(
        self,
        key: str,
        value: Value,
        last_modified: int | None,
        sender: str,
        left: float | None = None,
        sent: Sent | None = None,
    ) -> Verdict:
        """A Kamailio set a key. ``last_modified``: Unix ms, if it sent it; 0: the least of all versions. One
        that is too far ahead counts as none, and until then 6.2 nodes are told nothing with a time. ``left``:
        seconds to live as it said, None: the table's autoexpire, counted from now."""
        table = self.table
        wall = table.clock.wall_ms()
        # What has expired and is not yet swept must not leave its time to the new cell.
        table.live_cell(key)
        cell = table.cells.get(key)
        ttl = table.settings.autoexpire * 1000
        flags = DEFAULT_TTL if ttl else 0
        if cell is not None and self.watch and self._is_recent(cell) and cell.writer != sender:
            self.collided(cell)
        if last_modified is not None and last_modified > wall + MAX_AHEAD_MS:
            self.undated_until = max(self.undated_until, last_modified)
            self._doubt(key, sender)
            last_modified = None
        if last_modified is None:
            early = self._early.take(key, sender, table.clock.now(), sent)
            if left is None and early is not None:
                left = self._left(early)
            stamp = self._stamp(cell, sender, sent, early)
            flags |= PROVISIONAL
        elif last_modified <= 0:
            stamp = table.floor + 1
            flags |= PROVISIONAL
        elif cell is not None and sent and not sent.late and self._is_own_echo(cell, last_modified, sender):
            stamp = cell.last_modified() + 1
            flags |= PROVISIONAL
        else:
            stamp = version_at(last_modified)
            if sent is None and not table.settings.autoexpire:
                flags |= UNTIMED
        if left is not None:
            ttl, flags = max(1, round(min(left, MAX_AUTOEXPIRE_S) * 1000)), flags & PROVISIONAL
        verdict = self._judge(cell, State(stamp, value, ttl, flags))
        if cell is None and sent is not None and sent.late and self._is_removed(key, sender, sent):
            verdict = Verdict.OLDER
        if verdict is not Verdict.NEWER:
            self.counters.refused[table.name, "older"] += 1
            return verdict
        if cell is None:
            cell = table._new_cell(key)
        expires = table.clock.now() + ttl / 1000 if ttl else NEVER
        if left is None and not table.settings.updateexpire and cell.value is not None:
            ttl, expires = cell.ttl, cell.expires
        cell.counts = None
        # What a comparison shows is nobody's write.
        table.telling = Telling.WRITE if sent is not None else Telling.DIFFERENCE
        table._enliven(cell, value, stamp, ttl, expires, flags)
        table.telling = Telling.WRITE
        self._arrived(cell, sender, sent)
        return Verdict.NEWER

    def arrive_expire(self, key: str, seconds: int, sender: str, sent: Sent | None = None) -> bool:
        """A Kamailio gave a key a new time: effective only where the table has autoexpire, as there."""
        table = self.table
        now = table.clock.now()
        cell = table.live_cell(key)
        if not table.settings.autoexpire:
            return False
        if cell is None or cell.value is None:
            self._early.remember(key, sender, EarlyTime(seconds, now))
            return False
        stamp = self._stamp(cell, sender, sent)
        before = cell.last_modified()
        before_sent = self._writes.sent(cell, sender, now)
        if stamp <= before:
            # Scripts set a key and then give it its time: one that may have followed the set is for it.
            if sent is None or before_sent is None or not sent.may_follow(before_sent):
                self.counters.refused[table.name, "older"] += 1
                return False
            stamp = before + 1
        self._early.remember(key, sender, EarlyTime(seconds, now, before, stamp, before_sent))
        seconds = min(max(0, seconds), MAX_AUTOEXPIRE_S)
        cell.counts = None
        expires = now + seconds if seconds > 0 else NEVER
        table.telling = Telling.TIME
        table._enliven(cell, cell.value, stamp, seconds * 1000, expires, PROVISIONAL)
        table.telling = Telling.WRITE
        self._arrived(cell, sender, sent)
        return True

    def arrive_delete(self, key: str, sender: str, sent: Sent | None = None) -> bool:
        """A Kamailio deleted a key. Remembered even where the key was not there: its set may come late."""
        table = self.table
        cell = table.cells.get(key)
        early = self._early.take(key, sender, table.clock.now(), sent)
        stamp = self._stamp(cell, sender, sent, early)
        # At the same version a delete wins, as everywhere.
        least = table.floor + 1 if cell is None else cell.last_modified() + (cell.value is None)
        if stamp < least:
            self.counters.refused[table.name, "older"] += 1
            return False
        if cell is None:
            cell = table._new_cell(key)
        elif self.watch and self._is_recent(cell) and cell.writer != sender and cell.value is not None:
            self.collided(cell)
        was_alive = cell.value is not None
        table._delete_cell(cell, stamp, PROVISIONAL)
        self._arrived(cell, sender, sent)
        return was_alive

    def arrive_remove(
        self, kind: MatchKind, pattern: str, on: MatchOn, sender: str, sent: Sent | None = None
    ) -> list[str]:
        """A Kamailio deleted all that match; returns those that did here. PatternError if it is none."""
        return [key for keys in self.remove_in_steps(kind, pattern, on, sender, sent) for key in keys]

    def remove_in_steps(
        self, kind: MatchKind, pattern: str, on: MatchOn, sender: str, sent: Sent | None = None
    ) -> Iterator[list[str]]:
        """The same in steps, each of which returns the keys that it deleted. What is written between them
        stays."""
        table = self.table
        matches = compile_pattern(kind, pattern, strict=True)
        if on is MatchOn.NAME:
            remembered = compile_pattern(kind, pattern)
            self._removals.append(_Removal(remembered, sender, table.clock.now()))
        return self._steps(matches, on, sender, sent, table.clock.version() + MAX_COUNT)

    def _steps(
        self, matches: Callable[[str], bool], on: MatchOn, sender: str, sent: Sent | None, came: int
    ) -> Iterator[list[str]]:
        """``came``: the version from which on a write is one that came meanwhile."""
        for some in listed(self.table, STEP_KEYS):
            picked = [key for key in some if self._picks(key, matches, on, came)]
            yield [key for key in picked if self.arrive_delete(key, sender, sent)]

    def _picks(self, key: str, matches: Callable[[str], bool], on: MatchOn, came: int) -> bool:
        cell = self.table.live_cell(key)
        # What lies ahead of the clock was written by one that is wrong, at any time.
        if cell is None or came < cell.last_modified() <= self.table.clock.version():
            return False
        text = key if on is MatchOn.NAME else cell.value
        return isinstance(text, str) and matches(text)

    def put_right(self, cell: Cell) -> None:
        """Where another dmqcache node has heard only the first of two writes of a Kamailio and we both, and
        its word was taken for the later one: hold the second again. Who calls gives it a version."""
        later = self._writes.later_than(cell, self.table.clock.now())
        if later is None:
            return
        stamp = cell.last_modified() + 1
        if later.value is None:
            self.table._delete_cell(cell, stamp, PROVISIONAL)
        else:
            cell.counts = None
            flags = later.flags | PROVISIONAL
            self.table._enliven(cell, later.value, stamp, later.ttl, later.expires, flags)

    # -- versions for what has none ------------------------------------------------------------------------

    def _stamp(
        self, cell: Cell | None, sender: str, sent: Sent | None, early: EarlyTime | None = None
    ) -> int:
        """The version of a write that came without: now and above all that is here; of a late one, when it
        had been sent. ``early``: a time to live that came before it and made the cell's version newer."""
        table = self.table
        if cell is not None:
            table.bring_down(cell)
        last = table.floor if cell is None else max(cell.last_modified(), table.floor)
        if sent is None or not sent.late:
            return max(table.clock.version(), last + 1)
        now = table.clock.now()
        stamp = version_at(table.clock.wall_ms() - ceil((now - sent.moment) * 1000) - 1)
        if cell is None:
            return stamp
        overtaking = early if early is not None and early.after == last else None
        before = overtaking.before_sent if overtaking else self._writes.sent(cell, sender, now)
        is_later = sent.follows(before) if before is not None else None
        if is_later is None:
            if overtaking is None:
                return stamp
            is_later = stamp > overtaking.before
        return max(stamp, last + 1) if is_later else min(stamp, last - 1)

    @staticmethod
    def _is_own_echo(cell: Cell, last_modified: int, sender: str) -> bool:
        """Whether a 6.2 only seems to be older than its own delete or time to live of a moment ago: those
        have no version, got one by our clock, and its clock is behind. A message that was really overtaken
        comes T1 (500 ms) later at least."""
        behind = ms_of(cell.last_modified()) - last_modified
        return bool(cell.flags & PROVISIONAL) and cell.writer == sender and 0 <= behind < OWN_ECHO_MS

    def _is_removed(self, key: str, sender: str, sent: Sent) -> bool:
        """Whether a removal by pattern came that was sent after a set of a key that was not here yet."""
        return any(
            sent.moment <= removal.came and sender == removal.sender and removal.matches(key)
            for removal in self._removals
        )

    def _left(self, early: EarlyTime) -> float | None:
        """Seconds that are left of a time to live; None: it was no time."""
        if early.seconds <= 0:
            return None
        return max(0.001, early.seconds - (self.table.clock.now() - early.came))

    def _judge(self, cell: Cell | None, came: State) -> Verdict:
        """How a set compares with what is held. A tie is noted, unless it is one of mere hearsay: a number of
        the least version is never written anew with a real one."""
        if cell is None:
            return Verdict.NEWER if came.stamp > self.table.floor else Verdict.OLDER
        if self._has_ended(cell, came):
            return Verdict.OLDER
        verdict = self._compare(cell, came)
        tie = self.table.floor + 1 < came.stamp and self._is_shown_alike(cell, came)
        if self.watch and tie and verdict is not Verdict.SAME:
            self.collided(cell, Collision.TIE)
        return verdict

    def _has_ended(self, cell: Cell, came: State) -> bool:
        """Whether a 6.2 shows a cell whose time is over here: without autoexpire it has no times, and keeps
        what it was told until it is told that it is over."""
        ended = cell.value is None and bool(cell.flags & EXPIRED) and cell.ttl > 0
        return ended and not self.table.settings.autoexpire and self._is_shown_alike(cell, came)

    @staticmethod
    def _is_shown_alike(cell: Cell, came: State) -> bool:
        """Whether two versions are the same to a 6.2."""
        last = cell.last_modified()
        return came.stamp == last or (not came.flags & PROVISIONAL and ms_of(came.stamp) == ms_of(last))

    def _compare(self, cell: Cell, came: State) -> Verdict:
        """What a Kamailio shows as it was told it is the same, however much of its time is left. A counter's
        number is the one that it was told, unless it is later than the last increment."""
        last = cell.last_modified()
        same = came.value == cell.value and type(came.value) is type(cell.value)
        if same and self._is_shown_alike(cell, came):
            return Verdict.SAME
        if cell.counts is None:
            return merge(state_of(cell), came)[0]
        return Verdict.NEWER if came.stamp > last else Verdict.OLDER

    def _arrived(self, cell: Cell, sender: str, sent: Sent | None) -> None:
        cell.writer = sender
        self._writes.note(cell, sender, sent)
        self.counters.changes[self.table.name, "kamailio"] += 1
