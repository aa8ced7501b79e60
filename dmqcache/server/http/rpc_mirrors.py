"""Kamailio's JSON-RPC methods that look at contacts (``ul.``) and calls (``dlg.``), where they are followed.

Names, parameters, results and errors are those of a 5.6.3 that was told of the same on the bus, tried side by
side. What the bus does not tell says what it says there (``"[not set]"``, null). Whoever changes something
(``ul.rm``, ``dlg.end_dlg``) asks a Kamailio: here they are not found, nor is any without its peer.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, Final

from dmqcache.bus.peer import Peer
from dmqcache.peers.contact import Contact
from dmqcache.peers.dialog_call import Call
from dmqcache.peers.dialog_peer import DialogPeer
from dmqcache.peers.dialog_wire import DialogState
from dmqcache.peers.json_fields import Fields, integer_in, text_in
from dmqcache.peers.mirror import among
from dmqcache.peers.usrloc_peer import UsrlocPeer
from dmqcache.server.http.rpc import FAILED, NOT_FOUND, Method, Pieces, RpcError
from dmqcache.store.table.patterns import MatchKind, PatternError, compile_pattern

#: The table of contacts: module dmq_usrloc shares this one.
DOMAIN: Final = "location"
#: Records after which others get their turn: some milliseconds.
STEP: Final = 40
#: Kamailio's flag of a call that is told on the bus (``iflags``).
SHARED: Final = 64
_NOT_SET: Final = "[not set]"
#: Kamailio's words for the states of calls that have not ended.
_STATES: Final[Mapping[str, DialogState]] = {
    "starting": DialogState.UNCONFIRMED,
    "connecting": DialogState.EARLY,
    "answering": DialogState.CONFIRMED_NA,
    "ongoing": DialogState.CONFIRMED,
}
_MATCHED: Final[Mapping[str, str]] = {
    "furi": "from_uri",
    "turi": "to_uri",
    "ruri": "req_uri",
    "callid": "callid",
}


def mirror_methods(peers: Mapping[str, Peer]) -> dict[str, Method]:
    """The methods of the peers that there are."""
    contacts, calls = among(peers, UsrlocPeer), among(peers, DialogPeer)
    return {
        **({} if contacts is None else _contact_methods(contacts)),
        **({} if calls is None else _call_methods(calls)),
    }


# -- contacts --------------------------------------------------------------------------------


def _contact_methods(peer: UsrlocPeer) -> dict[str, Method]:
    def lookup(table: str, aor: str) -> Pieces:
        _check(table)
        for spelt in _spellings(aor):
            if _is_registered(peer, spelt):
                return Pieces(_address(peer, spelt))
        raise RpcError(FAILED, "AOR not found in location table")

    def counted(count: Callable[[], int]) -> Callable[[str], int]:
        def call(table: str) -> int:
            _check(table)
            return count()

        return call

    return {
        "ul.dump": Method(lambda brief: Pieces(_dump(peer, brief == "brief")), ("brief",), 1),
        "ul.lookup": Method(lookup, ("table", "AOR")),
        "ul.db_users": Method(counted(peer.aors), ("table",)),
        "ul.db_contacts": Method(counted(lambda: len(peer.records)), ("table",)),
    }


def _spellings(aor: str) -> Iterator[str]:
    """How registrars may have it. A Kamailio leaves out the domain unless it has ``use_domain``, and makes
    all letters small unless it has ``case_sensitive``; what the registrars have, nobody says on the bus."""
    user = aor.partition("@")[0]
    # Nobody is registered without a name.
    yield from filter(None, dict.fromkeys((aor, aor.lower(), user, user.lower())))


def _check(table: str) -> None:
    if table != DOMAIN:
        raise RpcError(FAILED, "Domain table not found")


async def _dump(peer: UsrlocPeer, brief: bool) -> AsyncIterator[str]:
    """All addresses of record as they were heard of. There are no slots here: one of them holds all."""
    yield f'{{"Domains":[{{"Domain":{{"Domain":"{DOMAIN}","Size":1,"AoRs":['
    count = 0
    for number, aor in enumerate(peer.each_aor()):
        if _is_registered(peer, aor):
            yield "," if count else ""
            count += 1
            if brief:
                yield json.dumps({"AoR": aor})
            else:
                yield '{"Info":'
                async for text in _address(peer, aor):
                    yield text
                yield "}"
        if number % STEP == STEP - 1:
            await asyncio.sleep(0)
    yield f'],"Stats":{{"Records":{count},"Max-Slots":{count}}}}}}}]}}'


def _is_registered(peer: UsrlocPeer, aor: str) -> bool:
    return next(peer.each_contact(aor), None) is not None


async def _address(peer: UsrlocPeer, aor: str) -> AsyncIterator[str]:
    """An address of record, which may have thousands of contacts."""
    yield f'{{"AoR":{json.dumps(aor)},"Contacts":['
    for number, one in enumerate(peer.each_contact(aor)):
        yield f"{',' if number else ''}{json.dumps({'Contact': _contact(one, time.time())})}"
        if number % STEP == STEP - 1:
            await asyncio.sleep(0)
    yield "]}"


def _contact(contact: Contact, now: float) -> dict[str, Any]:
    fields = contact.fields
    q = integer_in(fields, "q") if "q" in fields else -1
    return {
        "Address": contact.uri,
        "Expires": "permanent" if contact.expires is None else max(0, int(contact.expires - now)),
        "Q": q if q <= 0 else q / 1000 if q % 1000 else q // 1000,
        "Call-ID": text_in(fields, "callid"),
        "CSeq": integer_in(fields, "cseq"),
        "User-Agent": text_in(fields, "user_agent") or _NOT_SET,
        "Received": text_in(fields, "received") or _NOT_SET,
        "Path": text_in(fields, "path") or _NOT_SET,
        "State": "CS_NEW",
        "Flags": integer_in(fields, "flags"),
        "CFlags": integer_in(fields, "cflags"),
        "Socket": text_in(fields, "sock") or _NOT_SET,
        "Methods": integer_in(fields, "methods"),
        "Ruid": text_in(fields, "ruid") or _NOT_SET,
        "Instance": text_in(fields, "instance") or _NOT_SET,
        "Reg-Id": integer_in(fields, "reg_id"),
        "Server-Id": integer_in(fields, "server_id"),
        # Of a connection that nobody has here, and of pings that nobody sends.
        "Tcpconn-Id": -1,
        "Keepalive": 0,
        "Last-Keepalive": contact.last_modified,
        "KA-Roundtrip": 0,
        "Last-Modified": contact.last_modified,
    }


# -- calls -----------------------------------------------------------------------------------


def _call_methods(peer: DialogPeer) -> dict[str, Method]:
    async def one(callid: str, ftag: str | None) -> dict[str, Any]:
        call = await _named(peer, callid)
        known = call is not None and ftag in (None, text_in(call.fields, "tag1"))
        return _call(call, time.time()) if call is not None and known else {}

    async def alive(callid: str, from_tag: str, to_tag: str) -> str:
        call = await _named(peer, callid)
        if call is None or text_in(call.fields, "tag1") != from_tag:
            raise RpcError(NOT_FOUND, "Dialog not found")
        if text_in(call.fields, "tag2") not in ("", to_tag):
            raise RpcError(NOT_FOUND, "Dialog not found")
        if call.dialog_state is not DialogState.CONFIRMED:
            raise RpcError(FAILED, "Dialog not in confirmed state")
        return "Alive"

    async def size(profile: str, value: str | None) -> int:
        return len([call async for call in _taking_turns(peer.each_call(), _in_profile(profile, value))])

    async def match(key: str, operator: str, value: str, limit: int | None) -> AsyncIterator[dict[str, Any]]:
        fits, found = _matcher(key, operator, value), list[Call]()
        async for call in _taking_turns(
            peer.each_call(), lambda call: fits(text_in(call.fields, _MATCHED[key]))
        ):
            found.append(call)
            if len(found) == limit:
                break
        if not found:
            raise RpcError(NOT_FOUND, "Not found")
        return _shown(iter(found))

    def in_profile(profile: str, value: str | None) -> AsyncIterator[dict[str, Any]]:
        return _shown(peer.each_call(), _in_profile(profile, value))

    return {
        "dlg.list": Method(lambda: _shown(peer.each_call())),
        "dlg.dlg_list": Method(one, ("callid", "ftag"), 1),
        "dlg.list_match": Method(match, ("key", "operator", "value", "limit:int"), 1),
        "dlg.is_alive": Method(alive, ("callid", "from_tag", "to_tag")),
        "dlg.stats_active": Method(lambda: _active(peer)),
        "dlg.profile_get_size": Method(size, ("profile", "value"), 1),
        "dlg.profile_list": Method(in_profile, ("profile", "value"), 1),
    }


async def _named(peer: DialogPeer, call_id: str) -> Call | None:
    async for call in _taking_turns(peer.each_call(), lambda call: call.call_id == call_id):
        return call
    return None


def _in_profile(name: str, value: str | None) -> Callable[[Call], bool]:
    def is_in(call: Call) -> bool:
        return any(one.name == name and value in (None, one.value) for one in call.profiles)

    return is_in


async def _taking_turns(
    calls: Iterator[Call], wanted: Callable[[Call], bool] = lambda call: True
) -> AsyncIterator[Call]:
    """Those that are wanted. Others get their turn however few these are."""
    for number, call in enumerate(calls):
        if wanted(call):
            yield call
        if number % STEP == STEP - 1:
            await asyncio.sleep(0)


async def _shown(
    calls: Iterator[Call], wanted: Callable[[Call], bool] = lambda call: True
) -> AsyncIterator[dict[str, Any]]:
    async for call in _taking_turns(calls, wanted):
        yield _call(call, time.time())


def _matcher(key: str, operator: str, value: str) -> Callable[[str], bool]:
    if key not in _MATCHED:
        raise RpcError(FAILED, "Invalid matching key parameter")
    if operator == "eq":
        return value.__eq__
    if operator not in ("re", "sw"):
        raise RpcError(FAILED, "Invalid matching operator parameter")
    try:
        return compile_pattern(MatchKind.REGEX if operator == "re" else MatchKind.PREFIX, value, strict=True)
    except PatternError:
        raise RpcError(FAILED, "Invalid matching value parameter") from None


async def _active(peer: DialogPeer) -> dict[str, int]:
    states = Counter([call.dialog_state async for call in _taking_turns(peer.each_call())])
    return {word: states[state] for word, state in _STATES.items()} | {"all": states.total()}


def _call(call: Call, now: float) -> dict[str, Any]:
    """``ref``, ``dflags`` and ``sflags`` are of a Kamailio's own memory, and say nothing here."""
    fields = call.fields
    return {
        "h_entry": call.key.h_entry,
        "h_id": call.key.h_id,
        "ref": 1,
        "call-id": call.call_id,
        "from_uri": call.from_uri,
        "to_uri": call.to_uri,
        "state": int(call.dialog_state),
        "start_ts": call.answered or 0,
        "init_ts": call.began,
        "end_ts": 0,
        "duration": max(0, int(now) - call.answered) if call.answered else 0,
        "timeout": call.over_at if call.answered else 0,
        "lifetime": call.lifetime,
        "dflags": 0,
        "sflags": 0,
        "iflags": integer_in(fields, "iflags") | SHARED,
        "caller": _party(fields, "1"),
        "callee": _party(fields, "2"),
        "profiles": [{name: value} if value else name for name, value in call.profiles],
        "variables": [{name: value} for name, value in call.variables.items()],
    }


def _party(fields: Fields, number: str) -> dict[str, str | None]:
    """The caller is 1, the callee 2."""
    told = {name: fields.get(f"{name}{number}") for name in ("tag", "contact", "cseq", "route_set")}
    return {name: value if isinstance(value, str) else None for name, value in told.items()} | {
        "socket": None
    }
