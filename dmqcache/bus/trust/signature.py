"""How a message is signed, and what a signature that comes in is worth. Time and chance come from outside.

A request carries one header: the key's name, the sender's instance (one life of one process), the receiver's
token for it, and a keyed BLAKE2b over what the message means and both of these. BLAKE2b, as its keyed mode is
a MAC by itself (RFC 7693 2.9): one pass instead of HMAC's two, and it is in every Python.

- A receiver draws a token for each sender instance. A request without it, though well signed, does nothing
  but tell the sender the token: so nothing that was recorded before the receiver started counts after.
- The request's CSeq is used once for each sender instance (``window.py``).
- A reply signs the signature of its request: it answers this one and no other.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Callable
from enum import Enum
from hmac import compare_digest
from typing import Final, NamedTuple

from dmqcache.bus.bounded import Bounded
from dmqcache.bus.trust.keys import Key, KeyRing
from dmqcache.bus.trust.window import Window

#: The header's name, and the key under which a parsed message has it.
HEADER: Final = "DMQ-Signature"
HEADER_KEY: Final = HEADER.lower()
#: Sender instances remembered; each was signed with the key, so strangers fill none of it.
MAX_SENDERS: Final = 4096
#: Characters of an instance or a token at most.
MAX_WORD: Final = 32
#: Characters of a signature proper, which a header's value ends with.
MAC_CHARACTERS: Final = 32

#: Base64's letters to those of its form for URLs (RFC 4648 5).
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")

_KEY = r"v=1;key=([0-9a-f]{8})"
_FORM: Final = re.compile(
    rf"{_KEY};from=([\w-]{{1,{MAX_WORD}}});to=([\w-]{{0,{MAX_WORD}}});mac=([\w-]{{{MAC_CHARACTERS}}})",
    re.ASCII,
)
#: The header of a refusal: which key it would take, and nothing else.
_ONLY_KEY: Final = re.compile(_KEY)


class Signature(NamedTuple):
    """The header's value."""

    key: str
    instance: str
    token: str
    digest: str

    def __str__(self) -> str:
        return _written(*self)

    @staticmethod
    def parse(text: str) -> Signature | None:
        """The parts of a header's value, or None if it is not of this form or version."""
        match = _FORM.fullmatch(text)
        return Signature(*match.groups()) if match is not None else None


def only_key(key: Key) -> str:
    """The header's value in a refusal: the name of the key that would count here."""
    return f"v=1;key={key.name}"


def key_name(text: str) -> str:
    """The name of the key in a header's value of any form; empty where there is none."""
    match = _ONLY_KEY.match(text)
    return match.group(1) if match is not None else ""


class Verdict(Enum):
    """What a request's signature is worth."""

    GOOD = "good"
    #: There is none.
    ABSENT = "unsigned"
    #: Made with a key that does not count here.
    UNKNOWN_KEY = "unknown_key"
    #: Another text than was signed, or no signature at all.
    BAD = "bad_signature"
    #: Well signed, and it was here before.
    REPEATED = "replayed"
    #: Well signed, but without the token: it is told to the sender, who asks again.
    TOKEN_NEEDED = "token_needed"


#: The reasons of drops among them.
DROPPED: Final = (Verdict.ABSENT, Verdict.UNKNOWN_KEY, Verdict.BAD, Verdict.REPEATED)


class _Sender(NamedTuple):
    token: str
    window: Window


class _Origin(NamedTuple):
    """What all headers of one signer to this node begin with says, once it was found to be true."""

    key: Key
    instance: str
    token: str


class Signer:
    """Signs and judges for one node."""

    def __init__(self, ring: KeyRing, instance: str, draw_token: Callable[[], str]) -> None:
        self._ring = ring
        #: What a header's value up to its signature says, of those that were good: it is read once.
        self._origins: dict[str, _Origin] = {}
        #: This life of this process.
        self.instance = instance
        self._draw_token = draw_token
        self._senders: Bounded[str, _Sender] = Bounded(MAX_SENDERS)

    @property
    def ring(self) -> KeyRing:
        """The keys that count."""
        return self._ring

    @ring.setter
    def ring(self, ring: KeyRing) -> None:
        self._ring = ring
        self._origins.clear()

    def sign(self, lines: str, body: bytes, token: str = "") -> Signature:
        """Sign a request for the receiver that gave ``token``; without one to be told it. ``lines``, here and
        below: what ``meaning.py`` gives, always as many for one kind of message."""
        key, instance = self._ring.keys[0], self.instance
        return Signature(
            key.name, instance, token, _digest(key, f"request\n{instance}\n{token}", lines, body)
        )

    def judge(self, header: str, lines: str, body: bytes, number: int) -> tuple[Verdict, Signature | None]:
        """What a request is worth whose CSeq has this number. A GOOD one is used up by that."""
        begin, mac = header[:-MAC_CHARACTERS], header[-MAC_CHARACTERS:]
        origin = known = self._origins.get(begin)
        if origin is None:
            if not header:
                return Verdict.ABSENT, None
            read = Signature.parse(header)
            if read is None or read.instance == self.instance:
                return Verdict.BAD, None
            key = self._ring.find(read.key)
            if key is None:
                return Verdict.UNKNOWN_KEY, None
            origin = _Origin(key, read.instance, read.token)
        key, instance, token = origin
        wanted = _digest(key, f"request\n{instance}\n{token}", lines, body)
        # Of other characters compare_digest() takes no text, and no signature has them.
        if not (mac.isascii() and compare_digest(wanted, mac)):
            return Verdict.BAD, None
        sender = self._sender(instance)
        signature = Signature(key.name, instance, token, mac)
        if token != sender.token:
            return Verdict.TOKEN_NEEDED, signature
        if known is None:
            self._keep(begin, origin)
        return (Verdict.GOOD if sender.window.take(number) else Verdict.REPEATED), signature

    def give_back(self, request: Signature, number: int) -> None:
        """A request that was GOOD was not handled: a copy of it is as good as new."""
        sender = self._senders.get(request.instance)
        if sender is not None and sender.token == request.token:
            sender.window.give_back(number)

    def sign_reply(self, request: Signature, lines: str, body: bytes) -> str:
        """The header's value for the reply to a well signed request, signed with the key that it used; ``to``
        tells its token."""
        key, instance = self._ring.find(request.key) or self._ring.signing, self.instance
        sender = self._senders.get(request.instance) or self._sender(request.instance)
        head = f"reply\n{request.digest}\n{instance}\n{sender.token}"
        return _written(key.name, instance, sender.token, _digest(key, head, lines, body))

    def judge_reply(self, header: str, request: Signature, lines: str, body: bytes) -> tuple[Verdict, str]:
        """What the reply to a request of ours is worth, and of a GOOD one the token that it tells: to be
        shown to this node from now on."""
        begin, mac = header[:-MAC_CHARACTERS], header[-MAC_CHARACTERS:]
        origin = known = self._origins.get(begin)
        if origin is None:
            if not header:
                return Verdict.ABSENT, ""
            read = Signature.parse(header)
            name = read.key if read is not None else key_name(header)
            key = self._ring.find(name)
            if key is None and name:
                return Verdict.UNKNOWN_KEY, ""
            if read is None or key is None or read.instance == self.instance:
                return Verdict.BAD, ""
            origin = _Origin(key, read.instance, read.token)
        key, instance, token = origin
        wanted = _digest(key, f"reply\n{request.digest}\n{instance}\n{token}", lines, body)
        if not (mac.isascii() and compare_digest(wanted, mac)):
            return Verdict.BAD, ""
        if known is None:
            self._keep(begin, origin)
        return Verdict.GOOD, token

    def _keep(self, begin: str, origin: _Origin) -> None:
        """Remember what a header begins with that was good."""
        if len(self._origins) >= MAX_SENDERS:
            self._origins.clear()
        self._origins[begin] = origin

    def _sender(self, instance: str) -> _Sender:
        """Who it is, and now the one heard of last."""
        sender = self._senders.use(instance)
        if sender is None:
            sender = self._senders[instance] = _Sender(self._draw_token()[:MAX_WORD], Window())
        return sender


def _written(key: str, instance: str, token: str, mac: str) -> str:
    return f"v=1;key={key};from={instance};to={token};mac={mac}"


def _digest(key: Key, head: str, lines: str, body: bytes) -> str:
    """No two messages have the same text to be signed: no line holds a line end, each kind has a number of
    lines of its own, and the length of all lines stands before them. ``head``: what kind it is, the signer's
    instance and the token."""
    text = f"{head}\n{lines}".encode("utf-8", "surrogateescape")
    mac = key.mac.copy()
    mac.update(len(text).to_bytes(4, "big") + text)
    if body:
        mac.update(body)
    return b2a_base64(mac.digest(), newline=False).translate(_URL_SAFE).decode("ascii")
