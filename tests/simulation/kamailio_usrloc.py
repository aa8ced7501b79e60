"""A Kamailio's ``usrloc`` channel (module dmq_usrloc): contacts in, contacts out, with each version's quirks.

A codec of its own, so that a mistake of dmqcache's is not made on both sides; written from recordings of real
nodes, to which ``test_kamailio_usrloc.py`` holds it. Owns the contacts of one registrar and what it says of
them. Who is told is ``kamailio_model.py``'s business; which phone registers when, ``perform_phones.py``'s.
tests/interop/test_model.py holds it against real nodes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

#: All fields of a contact that are always told, in their order, and what stands for none.
FIELDS: dict[str, str | int] = {
    "aor": "",
    "ruid": "",
    "c": "",
    "received": "",
    "path": "",
    "callid": "",
    "user_agent": "",
    "instance": "",
    "expires": 0,
    "cseq": 0,
    "flags": 0,
    "cflags": 0,
    "q": -1,
    "last_modified": 0,
    "methods": 4_294_967_295,
    "reg_id": 0,
    "server_id": 0,
}
#: What a contact may have besides.
OPTIONAL = ("sock", "sockname", "xavps")
UPDATE, REMOVE, SYNC = 1, 2, 3
SYNC_BODY = b'{"action":3}'
#: ``batch_msg_contacts`` and ``batch_msg_size`` where answers are batches: the models of 6.2 have it so, as
#: the recorded nodes. By default each contact is told by itself.
BATCH_CONTACTS, BATCH_BYTES = 50, 60_000

Fields = dict[str, Any]


def read(body: bytes) -> list[Fields] | None:
    """The words of a body, each with its action; None: no JSON."""
    try:
        root = json.loads(body.decode("utf-8", "surrogateescape"))
    except ValueError:
        return None
    if not isinstance(root, dict):
        return None
    if next(iter(root), "") == "multi":
        return list(root["multi"].values())
    return [root]


def write(fields: Fields) -> bytes:
    """One word."""
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogateescape")


def write_batch(words: list[Fields]) -> bytes:
    """Several, as they are told to who has asked for all."""
    return write({"multi": {str(number): word for number, word in enumerate(words, 1)}})


class KamailioUsrloc:
    """The contacts of one registrar. Times are whole Unix seconds of its own clock."""

    def __init__(
        self,
        version: tuple[int, int],
        token: str,
        wall_ms: Callable[[], int],
        tell: Callable[[str, bytes], None],
    ) -> None:
        """``token``: a word of this process alone. ``tell(ruid, body)``: to every active node."""
        #: Key -> all fields, as they were said last.
        self.contacts: dict[str, Fields] = {}
        self._stamped = version >= (6, 2)
        self._batches = version >= (6, 2)
        #: It knows attributes of contacts, and tells that there are none.
        self._attributes = version >= (5, 8)
        self._token = token
        self._wall_ms = wall_ms
        self._tell = tell
        self._count = 0

    def seconds(self) -> int:
        return self._wall_ms() // 1000

    def live(self, margin: float = 0.0) -> dict[str, Fields]:
        """What a lookup finds, now and ``margin`` seconds later."""
        then = self._wall_ms() / 1000 + margin
        return {
            ruid: fields
            for ruid, fields in self.contacts.items()
            if not fields["expires"] or fields["expires"] > then
        }

    def sweep(self) -> None:
        """usrloc's timer: what has expired goes, and nobody is told."""
        self.contacts = self.live()

    # -- what comes --------------------------------------------------------------------------------------

    def read(self, body: bytes, sync: Callable[[], None]) -> int:
        """Handle one body; returns the status of the answer. ``sync`` sends everything to the asker."""
        words = read(body)
        if words is None:
            return 400
        statuses = [self._word(word, sync) for word in words]
        return next((status for status in statuses if status != 200), 200)

    def _word(self, word: Fields, sync: Callable[[], None]) -> int:
        action = word.get("action")
        if action is None:
            return 200
        if action == SYNC:
            sync()
            return 200
        if action not in (UPDATE, REMOVE):
            return 400
        ruid = word["ruid"]
        held = self.contacts.get(ruid)
        if self._stamped and held is not None and word["last_modified"] < held["last_modified"]:
            return 200
        if action == REMOVE:
            self.contacts.pop(ruid, None)
            return 200
        fields = {name: value for name, value in word.items() if name != "action"}
        if held is not None and "xavps" in held and "xavps" not in fields:
            fields["xavps"] = held["xavps"]
        self.contacts[ruid] = fields
        return 200

    # -- what goes ---------------------------------------------------------------------------------------

    def batches(self) -> Iterator[bytes]:
        """All contacts, those that have expired and are not swept yet too; nothing marks the end."""
        if not self._batches:
            yield from (self._written(UPDATE, fields) for fields in self.contacts.values())
            return
        words: list[Fields] = []
        size = 0
        for fields in self.contacts.values():
            word = {"action": UPDATE, **{name: value for name, value in fields.items() if name != "xavps"}}
            words.append(word)
            size += len(write(word))
            if len(words) >= BATCH_CONTACTS or size >= BATCH_BYTES:
                yield write_batch(words)
                words, size = [], 0
        if words:
            yield write_batch(words)

    # -- what phones do ----------------------------------------------------------------------------------

    def register(self, aor: str, uri: str, expires: int) -> str:
        """A contact that is not known here; returns its key. ``expires``: seconds from now, 0: never."""
        self._count += 1
        ruid = f"uloc-{self._token}-{self._count:x}"
        now = self.seconds()
        said: Fields = {"aor": aor, "ruid": ruid, "c": uri, "callid": f"{ruid}@phone", "user_agent": "Phone"}
        times = {"expires": now + expires if expires else 0, "cseq": 1, "last_modified": now}
        self._save(UPDATE, {**FIELDS, **said, **times})
        return ruid

    def refresh(self, ruid: str, expires: int) -> None:
        """The same phone registers again."""
        held, now = self.contacts[ruid], self.seconds()
        times = {"expires": now + expires if expires else 0, "cseq": held["cseq"] + 1, "last_modified": now}
        self._save(UPDATE, {**held, **times})

    def remove(self, ruid: str) -> None:
        """A phone unregisters: its contact is told as it was."""
        self._save(REMOVE, self.contacts[ruid])

    def _save(self, action: int, fields: Fields) -> None:
        ruid = fields["ruid"]
        if action == REMOVE:
            del self.contacts[ruid]
        else:
            self.contacts[ruid] = fields
        self._tell(ruid, self._written(action, fields))

    def _written(self, action: int, fields: Fields) -> bytes:
        if not self._attributes:
            fields = {name: value for name, value in fields.items() if name != "xavps"}
        elif "xavps" not in fields:
            fields = {**fields, "xavps": {}}
        return write({"action": action, **fields})
